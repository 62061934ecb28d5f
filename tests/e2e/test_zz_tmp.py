import os, time, asyncio
from conftest import *
from harness import wire
import test_chaos as T
def test_zz(start, mock, raw, certificates, trusting):
    gateway = start(configuration(mock.port, raw.port), tls=certificates)
    chaos = T.Chaos(gateway, trusting, 1)
    sent = {}
    async def one():
        import random
        class R(random.Random):
            def random(self): return 0.1
        chaos.random = R(1)
        t, tp = wire.new_trace()
        c = await T.Client.open(chaos)
        data = wire.request("POST", "/v1/chat/completions", {"Authorization": f"Bearer {TENANT_KEY}", "traceparent": tp}, chat())
        await c.send(data)
        await asyncio.sleep(0)
        c.reset()
        sent[t] = 1
    async def loop():
        for _ in range(20): await one()
    async def storm():
        await asyncio.gather(*(loop() for _ in range(60)))
    asyncio.run(storm())
    time.sleep(2)
    print("RECORDS", len(gateway.records()), len(sent))
    from collections import Counter
    for k, v in Counter(l for l in gateway.said().splitlines() if l.startswith("FAIL")).items(): print(v, k)
