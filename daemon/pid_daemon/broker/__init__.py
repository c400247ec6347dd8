# SPDX-License-Identifier: Apache-2.0
"""The broker: sessions, queue, books, spool and the workers' lives, in one asyncio thread without
torch.

wire frames ─ sockets ─ dispatch ─┬─ intake ─ spool          (pixels in)
                                  ├─ queue ─ pool ─ worker    (work)
              sessions ◄──────────┴─ delivery ◄─ spool        (events and pixels out)
"""
