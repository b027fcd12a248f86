"""One RSA key that never changes: what was signed with it stays right in a kept corpus.

It signs for names below .example alone. signing.py makes others anew in each process.
"""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

_P = int(
    "eb9fa55972b3cfb83e1e557d7ae980b054c6913b0e3bfc67af51f406c903e589"
    "81f228d31fa5f2346e611bd33ee90572c7611e24f93d3f085d82d18d54285937", 16
)  # fmt: skip
_Q = int(
    "e280fe4433c0f0011a8c4f39ab9cbe651f027c078e24c4799b536ec238792e3e"
    "46f7420f4a9722a9971f7ecc8ac9d7dbac5c166c9eddb4ff132bd69fc49bfbe7", 16
)  # fmt: skip
_EXPONENT = 65537


@cache
def fixed_key() -> rsa.RSAPrivateKey:
    """The key, of 1024 bits."""
    private = rsa.rsa_recover_private_exponent(_EXPONENT, _P, _Q)
    public = rsa.RSAPublicNumbers(_EXPONENT, _P * _Q)
    return rsa.RSAPrivateNumbers(
        _P,
        _Q,
        private,
        rsa.rsa_crt_dmp1(private, _P),
        rsa.rsa_crt_dmq1(private, _Q),
        rsa.rsa_crt_iqmp(_P, _Q),
        public,
    ).private_key()
