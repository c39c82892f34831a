"""The shape of everything a run keeps as JSON, and the checks on reading it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticSerializationError

from spectral_edge.store.errors import RunCorruptError, RunMissingError, SchemaError, StoreError
from spectral_edge.store.files import make_folder, read_file, read_lines, write_atomically
from spectral_edge.store.strict_json import decode_object, encode_json

__all__ = [
    "SCHEMA",
    "ConfigFile",
    "Document",
    "Frozen",
    "MetricsLine",
    "StatusFile",
    "StepRecord",
    "check_record",
    "parse_record",
    "read_document",
    "read_object",
    "read_records",
    "step_file_name",
    "write_document",
]

SCHEMA = 1

Model = TypeVar("Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ConfigFile(_Strict):
    """``config.json``: the configuration that made a run, as plain JSON."""

    schema_: Literal[1] = Field(alias="schema")
    config: dict[str, JsonValue]


class StatusFile(_Strict):
    """``status.json``: how far a run has come; further keys are free."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    state: Literal["running", "finished", "failed"]
    step: int = Field(ge=0)


class MetricsLine(_Strict):
    """One line of ``metrics.jsonl``: the step and any further named values."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    step: int = Field(ge=0)


class StepRecord(_Strict):
    """One line of an index: the tensor file of one step, its exact bytes, and free ``extra`` state."""

    step: int = Field(ge=0)
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    extra: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _file_is_the_steps_own(self) -> StepRecord:
        # An index is untrusted: a name it chose freely could lead out of the run directory.
        if self.file != step_file_name(self.step):
            raise ValueError(f"file of step {self.step} must be '{step_file_name(self.step)}', not {self.file!r}")
        return self


def step_file_name(step: int) -> str:
    """Name the tensor file of ``step``.

    Example:
        >>> step_file_name(100)
        'step_00000100.safetensors'
    """
    return f"step_{step:08d}.safetensors"


def parse_record(model: type[Model], value: Any, place: str) -> Model:
    """Validate ``value`` against ``model``.

    Args:
        model: the expected shape.
        value: decoded JSON; untrusted.
        place: file, or ``file:line``, that the error names.

    Returns:
        The validated record.

    Raises:
        RunCorruptError: an entry is missing, superfluous or of the wrong kind; the message names the first.
    """
    try:
        return model.model_validate(value)
    except ValidationError as cause:
        raise RunCorruptError(
            f"{place}: {_first_problem(cause)}. The file was damaged or edited: restore it from a copy, "
            "or make the run again."
        ) from cause


def check_record(model: type[BaseModel], value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Refuse on writing what reading back would refuse.

    Args:
        model: the shape that readers expect.
        value: what is to be written.
        path: the file it is meant for; only named in the error.

    Returns:
        ``value`` as a dict.

    Raises:
        StoreError: an entry is missing, of the wrong kind, or nothing that JSON can hold.
    """
    encode_json(dict(value), path)
    try:
        model.model_validate(dict(value))
    except ValidationError as cause:
        raise StoreError(f"{path}: not written: {_first_problem(cause)}. Correct that entry.") from cause
    return dict(value)


def read_records(path: Path, model: type[Model]) -> list[Model]:
    """Read and validate the committed lines of a ``.jsonl`` file; a missing file has none.

    Raises:
        RunCorruptError: a line is not JSON or not a ``model``; the message names file and line.
    """
    lines = enumerate(read_lines(path), start=1)
    return [parse_record(model, line, f"{path}:{number}") for number, line in lines]


class Frozen(BaseModel):
    """A part of a document: immutable, without unknown keys, and with finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Document(Frozen):
    """The whole of a result file, which carries its schema version.

    A subclass says in ``made_by`` which command makes such a file; one of another version has its own ``schema_``.
    """

    made_by: ClassVar[str]

    schema_: Literal[1] = Field(1, alias="schema")

    def write(self, path: Path, indent: int | None = 1) -> None:
        """Write the file as one step; its folder is made if missing.

        Raises:
            StoreError: ``path`` is a directory, an entry is nothing that JSON can hold, or the disk refuses.
        """
        make_folder(path.parent)
        write_document(path, self, indent)

    def write_unless_same(self, path: Path, parts: Iterable[str], indent: int | None = 1) -> Self:
        """Write the file unless one is there whose ``parts`` are equal, and return the document that stands there.

        So a repeated command leaves the first record standing, with its date and its time. A damaged file is replaced.

        Raises:
            StoreError: as :meth:`write`.
        """
        try:
            old = self.read(path)
        except StoreError:
            old = None
        if old is not None and all(getattr(old, part) == getattr(self, part) for part in parts):
            return old
        self.write(path, indent)
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and validate the file; it is untrusted.

        Raises:
            RunMissingError: there is no such file; says which command makes one.
            RunCorruptError: it is damaged; names the first entry that is wrong.
            SchemaError: another version wrote it.
        """
        if not path.exists():
            raise RunMissingError(f"{path}: there is no such file. {cls.made_by}")
        return read_document(path, cls)


def read_document(path: Path, model: type[Model]) -> Model:
    """Read and validate a JSON file that carries a schema version.

    Args:
        path: the file; untrusted.
        model: the expected shape, with the version under the key ``schema``.

    Returns:
        The validated content.

    Raises:
        SchemaError: written under another schema version.
        RunCorruptError: missing, not JSON, or of another shape.
    """
    value = read_object(path)
    (version,) = get_args(model.model_fields["schema_"].annotation)
    if isinstance(value.get("schema"), int) and value["schema"] != version:
        raise SchemaError(
            f"{path}: written with schema {value['schema']}; this version of spectral-edge reads "
            f"schema {version}. Read it with the version that wrote it, or make it again."
        )
    return parse_record(model, value, str(path))


def write_document(path: Path, document: BaseModel, indent: int | None = 1) -> None:
    """Write a document as JSON, as one step; :func:`read_document` reads it.

    Raises:
        StoreError: it holds what JSON cannot, or the disk refuses.
    """
    try:
        value = document.model_dump(mode="json", by_alias=True)
    except PydanticSerializationError as cause:
        raise StoreError(f"{path}: not written: {cause}. Use numbers, strings, lists and dictionaries.") from cause
    write_atomically(path, encode_json(value, path, indent=indent) + b"\n")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object of any shape.

    Raises:
        RunCorruptError: missing, not JSON, or no object.
    """
    return decode_object(read_file(path), str(path))


def _first_problem(cause: ValidationError, length: int = 80) -> str:
    first = cause.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the record"
    found = repr(first["input"])
    found = found if len(found) <= length else found[:length] + "…"
    return f"{where}: {first['msg']} (found {found})"
