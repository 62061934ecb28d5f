"""Certificates made at run time with the openssl command: an authority, a server for 127.0.0.1 and localhost, and bad
ones."""

import pathlib
import subprocess


def run(*arguments, directory):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=30)


def make(directory):
    """Writes ca.pem, server.pem/.key, expired.pem, wrong_host.pem, self_signed.pem; returns the directory."""
    directory = pathlib.Path(directory)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "30",
        "-subj",
        "/CN=weir test authority",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        directory=directory,
    )
    run("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost", directory=directory)
    names = {"server": "IP:127.0.0.1,DNS:localhost", "wrong_host": "DNS:elsewhere.example"}
    for name, alternative in names.items():
        (directory / f"{name}.ext").write_text(
            f"subjectAltName={alternative}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        run(
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.pem",
            directory=directory,
        )
    run(
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "-1",
        "-extfile",
        "server.ext",
        "-out",
        "expired.pem",
        directory=directory,
    )
    run(
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-signkey",
        "server.key",
        "-days",
        "30",
        "-extfile",
        "server.ext",
        "-out",
        "self_signed.pem",
        directory=directory,
    )
    return directory
