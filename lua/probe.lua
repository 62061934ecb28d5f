-- What every new connection runs before it is used: it shows that scripts are allowed, and gives the server's clock.
-- KEYS: none. ARGV: none. Returns {seconds, microseconds} since 1970, as text.
return redis.call('TIME')
