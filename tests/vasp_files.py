"""POTCAR files for tests, with the documented header and nothing of VASP's, and the stand-in as a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

STAND_IN = Path(__file__).with_name("vasp_stand_in.py")

#: ENMAX (eV) and number of valence electrons, as the headers of the real files of these elements say.
ENMAX = {"Al": (240.3, 3), "Cu": (295.4, 11), "Mg": (200.0, 2), "Ni": (269.5, 10)}


def potcar(element: str, symbol: str | None = None, exchange: str = "PE", enmax: float | None = None) -> str:
    """Return a POTCAR that has a header, and two zeros in the place of a potential."""
    highest, valence = ENMAX.get(element, (250.0, 1))
    highest = enmax or highest
    return f"""  PAW_PBE {symbol or element} 01Jan2000
   {valence:.8f}
 parameters from PSCTR are:
   VRHFIN ={element}: made for tests, without a potential
   LEXCH  = {exchange}
   EATOM  =     1.0000 eV,    0.0735 Ry

   TITEL  = PAW_PBE {symbol or element} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        1    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    1.500    partial core radius
   POMASS =   10.000; ZVAL   = {valence:8.3f}    mass and valenz
   RCORE  =    1.900    outmost cutoff radius
   RWIGS  =    2.650; RWIGS  =    1.402    wigner-seitz radius (au A)
   ENMAX  = {highest:8.3f}; ENMIN  = {0.75 * highest:8.3f} eV
   ICORE  =        2    local potential
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
   END of PSCTR-controll parameters
 local part
   0.00000000E+00  0.00000000E+00
 End of Dataset
"""


def write_potcars(folder: Path, symbols: Sequence[str], kind: str = "potpaw_PBE", exchange: str = "PE") -> Path:
    """Write POTCARs, laid out as VASP delivers them, and return the folder to name in ``potcar_folder``."""
    for symbol in symbols:
        place = folder / kind / symbol
        place.mkdir(parents=True)
        (place / "POTCAR").write_text(potcar(symbol.split("_")[0], symbol, exchange))
    return folder


def command(*arguments: str) -> list[str]:
    """Return the command that runs the stand-in."""
    return [sys.executable, str(STAND_IN), *arguments]
