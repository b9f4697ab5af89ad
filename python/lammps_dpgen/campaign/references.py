"""What somebody who publishes with the models of a campaign has to cite: articles as text and as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lammps_dpgen import __version__


@dataclass(frozen=True)
class Article:
    """An article.

    Attributes
    ----------
    key
        In the BibTeX file.
    what_for
        Why it is to be cited, in a few words.
    authors
        In BibTeX's form, joined by " and ".
    pages
        Range, or article number.
    arxiv
        Number of the preprint, or empty.
    """

    key: str
    what_for: str
    authors: str
    title: str
    journal: str
    volume: str
    pages: str
    year: int
    doi: str
    arxiv: str = ""

    def text(self) -> str:
        """Return it as a line of Markdown."""
        authors = self.authors.replace(" and ", "; ").replace("; others", " and others")
        preprint = f", [arXiv:{self.arxiv}](https://arxiv.org/abs/{self.arxiv})" if self.arxiv else ""
        place = " ".join(filter(None, (self.journal, self.volume and f"**{self.volume}**,", self.pages)))
        link = f", [doi:{self.doi}](https://doi.org/{self.doi})" if self.doi else ""
        return f"{authors}: {self.title}. {place} ({self.year}){link}{preprint}"

    def bibtex(self) -> str:
        """Return it as a BibTeX entry."""
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "volume": self.volume,
            "pages": self.pages.replace("-", "--"),
            "year": str(self.year),
            "doi": self.doi,
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])


METHOD = (
    Article(
        "Zhang2019DPGEN",
        "the method: concurrent learning with the model deviation",
        "Zhang, Linfeng and Lin, De-Ye and Wang, Han and Car, Roberto and E, Weinan",
        "Active learning of uniformly accurate interatomic potentials for materials simulation",
        "Physical Review Materials",
        "3",
        "023804",
        2019,
        "10.1103/PhysRevMaterials.3.023804",
        "1810.11890",
    ),
    Article(
        "Zhang2020DPGEN",
        "DP-GEN, whose selection and training rules are used",
        "Zhang, Yuzhi and Wang, Haidi and Chen, Weijie and Zeng, Jinzhe and Zhang, Linfeng and Wang, Han and E, Weinan",
        "DP-GEN: A concurrent learning platform for the generation of reliable deep learning based potential energy "
        "models",
        "Computer Physics Communications",
        "253",
        "107206",
        2020,
        "10.1016/j.cpc.2020.107206",
    ),
)

DEEPMD = (
    Article(
        "Wang2018DeePMD",
        "DeePMD-kit",
        "Wang, Han and Zhang, Linfeng and Han, Jiequn and E, Weinan",
        "DeePMD-kit: A deep learning package for many-body potential energy representation and molecular dynamics",
        "Computer Physics Communications",
        "228",
        "178-184",
        2018,
        "10.1016/j.cpc.2018.03.016",
    ),
    Article(
        "Zeng2023DeePMD",
        "DeePMD-kit, version 2",
        "Zeng, Jinzhe and Zhang, Duo and Lu, Denghui and others",
        "DeePMD-kit v2: A software package for deep potential models",
        "The Journal of Chemical Physics",
        "159",
        "054801",
        2023,
        "10.1063/5.0155600",
    ),
    Article(
        "Zeng2025DeePMD",
        "DeePMD-kit, version 3",
        "Zeng, Jinzhe and Zhang, Duo and others",
        "DeePMD-kit v3: A multiple-backend framework for machine learning potentials",
        "Journal of Chemical Theory and Computation",
        "21",
        "4375-4385",
        2025,
        "10.1021/acs.jctc.5c00340",
    ),
)

COMPRESSION = (
    Article(
        "Lu2022Compress",
        "the compression of the models",
        "Lu, Denghui and Jiang, Wanrun and Chen, Yixiao and Zhang, Linfeng and Jia, Weile and Wang, Han and "
        "Chen, Mohan",
        "DP Compress: A model compression scheme for generating efficient deep potential models",
        "Journal of Chemical Theory and Computation",
        "18",
        "5559-5567",
        2022,
        "10.1021/acs.jctc.2c00102",
    ),
)

LAMMPS = (
    Article(
        "Thompson2022LAMMPS",
        "LAMMPS",
        "Thompson, Aidan P. and Aktulga, H. Metin and Berger, Richard and Bolintineanu, Dan S. and Brown, W. Michael "
        "and Crozier, Paul S. and {in 't Veld}, Pieter J. and Kohlmeyer, Axel and Moore, Stan G. and "
        "Nguyen, Trung Dac and Shan, Ray and Stevens, Mark J. and Tranchida, Julien and Trott, Christian and "
        "Plimpton, Steven J.",
        "LAMMPS - a flexible simulation tool for particle-based materials modeling at the atomic, meso, and continuum "
        "scales",
        "Computer Physics Communications",
        "271",
        "108171",
        2022,
        "10.1016/j.cpc.2021.108171",
    ),
)

_ASE = Article(
    "Larsen2017ASE",
    "ASE",
    "Larsen, Ask Hjorth and Mortensen, Jens J{\\o}rgen and Blomqvist, Jakob and others",
    "The atomic simulation environment - a Python library for working with atoms",
    "Journal of Physics: Condensed Matter",
    "29",
    "273002",
    2017,
    "10.1088/1361-648X/aa680e",
)
_PAW = Article(
    "Blochl1994PAW",
    "the projector augmented-wave method",
    'Bl{\\"o}chl, Peter E.',
    "Projector augmented-wave method",
    "Physical Review B",
    "50",
    "17953-17979",
    1994,
    "10.1103/PhysRevB.50.17953",
)
_VASP = (
    Article(
        "Kresse1996a",
        "VASP",
        'Kresse, Georg and Furthm{\\"u}ller, J{\\"u}rgen',
        "Efficiency of ab-initio total energy calculations for metals and semiconductors using a plane-wave basis set",
        "Computational Materials Science",
        "6",
        "15-50",
        1996,
        "10.1016/0927-0256(96)00008-0",
    ),
    Article(
        "Kresse1996b",
        "VASP",
        'Kresse, Georg and Furthm{\\"u}ller, J{\\"u}rgen',
        "Efficient iterative schemes for ab initio total-energy calculations using a plane-wave basis set",
        "Physical Review B",
        "54",
        "11169-11186",
        1996,
        "10.1103/PhysRevB.54.11169",
    ),
    _PAW,
    Article(
        "Kresse1999PAW",
        "the PAW potentials of VASP",
        "Kresse, Georg and Joubert, Daniel",
        "From ultrasoft pseudopotentials to the projector augmented-wave method",
        "Physical Review B",
        "59",
        "1758-1775",
        1999,
        "10.1103/PhysRevB.59.1758",
    ),
)
_GPAW = (
    Article(
        "Mortensen2005GPAW",
        "GPAW",
        "Mortensen, Jens J{\\o}rgen and Hansen, Lars Bruno and Jacobsen, Karsten Wedel",
        "Real-space grid implementation of the projector augmented wave method",
        "Physical Review B",
        "71",
        "035109",
        2005,
        "10.1103/PhysRevB.71.035109",
    ),
    Article(
        "Mortensen2024GPAW",
        "GPAW",
        "Mortensen, Jens J{\\o}rgen and Larsen, Ask Hjorth and Kuisma, Mikael and others",
        "GPAW: An open Python package for electronic structure calculations",
        "The Journal of Chemical Physics",
        "160",
        "092503",
        2024,
        "10.1063/5.0182685",
    ),
    _PAW,
    _ASE,
)
_PYMATGEN = Article(
    "Ong2013pymatgen",
    "pymatgen, which made structures",
    "Ong, Shyue Ping and Richards, William Davidson and Jain, Anubhav and others",
    "Python Materials Genomics (pymatgen): A robust, open-source Python library for materials analysis",
    "Computational Materials Science",
    "68",
    "314-319",
    2013,
    "10.1016/j.commatsci.2012.10.028",
)
_MATERIALS_PROJECT = Article(
    "Jain2013MP",
    "the Materials Project, which structures are from",
    "Jain, Anubhav and Ong, Shyue Ping and Hautier, Geoffroy and others",
    "Commentary: The Materials Project: A materials genome approach to accelerating materials innovation",
    "APL Materials",
    "1",
    "011002",
    2013,
    "10.1063/1.4812323",
)

#: By the name of the labeler.
LABELERS: dict[str, tuple[Article, ...]] = {"vasp": _VASP, "gpaw": _GPAW, "ase": (_ASE,)}
#: By the name of the generator of structures.
STRUCTURES: dict[str, tuple[Article, ...]] = {"slab": (_PYMATGEN,), "materials_project": (_MATERIALS_PROJECT,)}
#: What nobody but the user knows, by the name of the labeler.
_LABELER_TEXT = {
    "vasp": "the exchange-correlation functional and the POTCARs that the labels were computed with",
    "gpaw": "the exchange-correlation functional and the setups that the labels were computed with",
    "lammps": "the interatomic potential that stands for the reference method; its file names the publication",
    "ase": "the calculator that computed the labels",
    "replay": "the dataset that the labels were taken from, and the programs that it was computed with",
}


def articles(labeler: str, generators: Iterable[str], *, compressed: bool) -> list[Article]:
    """Return what is to be cited, each article once.

    Parameters
    ----------
    labeler, generators
        Names of the labeler and of the generators of structures.
    compressed
        The models are compressed.
    """
    found = [*METHOD, *DEEPMD, *(COMPRESSION if compressed else ()), *LAMMPS, *LABELERS.get(labeler, ())]
    for generator in generators:
        found += STRUCTURES.get(generator, ())
    return list({article.key: article for article in found}.values())


def bibliography(chosen: Iterable[Article]) -> str:
    """Return the content of a BibTeX file."""
    program = (
        "@software{lammpsdpgen,\n"
        "  author = {{The lammps-dpgen developers}},\n"
        "  title = {{lammps-dpgen: DP-GEN inside LAMMPS}},\n"
        f"  version = {{{__version__}}},\n"
        "}"
    )
    return "\n\n".join([program, *(article.bibtex() for article in chosen)]) + "\n"


def citation_page(chosen: Iterable[Article], labeler: str, codes: Iterable[str]) -> str:
    """Return the content of CITATION.md; `codes` are the programs with versions that computed the labels."""
    rest = _LABELER_TEXT.get(labeler, f"what the authors of the labeler {labeler} ask for")
    lines = [
        "# What to cite",
        "",
        f"The models were made with lammps-dpgen {__version__}. Whoever publishes results that rest on them cites the",
        "following; references.bib has the same entries for BibTeX.",
        "",
        *(f"- **{article.what_for}**: {_without_tex(article.text())}" for article in chosen),
        f"- **the reference method**: {rest}",
        "",
        f"The labels were computed with: {', '.join(codes) or 'no program, there are none'}.",
    ]
    return "\n".join(lines) + "\n"


def _without_tex(text: str) -> str:
    for tex, letter in (("{\\o}", "ø"), ('{\\"o}', "ö"), ('{\\"u}', "ü"), ("{in 't Veld}", "in 't Veld")):
        text = text.replace(tex, letter)
    return text
