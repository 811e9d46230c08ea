"""Reads the adverts of some routers in a recording with the codec of os-ken (OpenStack), and writes each again from what was
read: the bytes have to be the same. Prints how many there were.

codec.py RECORDING SOURCE...
"""
import struct
import sys

from os_ken.lib.packet import ipv4, vrrp

recording, sources = sys.argv[1], sys.argv[2:]
with open(recording, "rb") as file:
    rest = file.read()
# A header, then each packet behind its own; the time may be in nanoseconds, which is no matter here.
order = "<" if rest[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
rest, count, wrong = rest[24:], 0, []
while len(rest) >= 16:
    (kept,) = struct.unpack_from(order + "I", rest, 8)
    packet, rest = rest[16:16 + kept], rest[16 + kept:]
    ip, _, payload = ipv4.ipv4.parser(packet[14:])
    if ip.src not in sources:
        continue
    payload = payload[:ip.total_length - ip.header_length * 4]
    advert, _, behind = vrrp.vrrp.parser(payload)
    count += 1
    if not advert.checksum_ok(ip, payload):
        wrong.append("checksum")
    if not advert.is_valid() or not advert.is_valid_ttl(ip) or behind:
        wrong.append("not valid: %s" % advert)
    advert.checksum = None
    if bytes(advert.serialize(None, ip)) != payload:
        wrong.append("written otherwise: %s" % payload.hex())
if wrong:
    sys.exit("\n".join(wrong))
print(count)
