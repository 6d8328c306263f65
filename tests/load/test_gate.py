"""While the gate is closed nobody is inside."""

from __future__ import annotations

import asyncio

from load.gate import Gate


def test_nobody_is_inside_while_it_is_closed() -> None:
    gate, seen = Gate(), []

    async def visitor(number: int) -> None:
        while len(seen) < 100:
            async with gate:
                seen.append(number)
                await asyncio.sleep(0.001 * (1 + number))
                if not gate.is_open:
                    seen.append(-1)

    async def day() -> int:
        tasks = [asyncio.create_task(visitor(number)) for number in range(4)]
        await asyncio.sleep(0.01)
        async with gate.closed():
            before = len(seen)
            await asyncio.sleep(0.02)
            during = gate.inside + len(seen) - before
        await asyncio.gather(*tasks)
        return during

    assert asyncio.run(asyncio.wait_for(day(), 30)) == 0
    assert set(seen) >= {-1, 0, 1, 2, 3}
    assert gate.is_open
    assert gate.inside == 0
