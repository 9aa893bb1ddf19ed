"""The four levels of severity of China's Emergency Response Law, article 3: 1 is the worst."""

from collections.abc import Mapping

from pilotbase.domain.scenario import Titles

__all__ = ["SEVERITIES"]

SEVERITIES: Mapping[int, Titles] = {
    1: Titles(en="especially serious", zh="特别重大"),
    2: Titles(en="serious", zh="重大"),
    3: Titles(en="large", zh="较大"),
    4: Titles(en="ordinary", zh="一般"),
}
