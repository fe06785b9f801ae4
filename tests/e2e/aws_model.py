"""AWS's service models, as botocore ships them: what a request may hold, at and past its limits.

Invariants. Everything here is derived from the installed model; the samples of text are the one
thing that is ours, and each is checked against the model's own pattern before it is used.

Must not know: what Writ does with a request.
"""

import re
import unicodedata
import xml.etree.ElementTree
from dataclasses import dataclass

import botocore.parsers
import botocore.serialize
import botocore.session

SERVICES = ("iam", "sts")
# `[\p{L}\p{Z}\p{N}…]`: Python's `re` has no such classes.
UNICODE_CLASSES = r"\p{L}\p{Z}\p{N}"
# On both sides of the borders that the models' patterns draw.
PROBES = "\x01\t\n\r !#%'*,-./09:;<=?@AZ[]^_`az{|}~\x7f\x80\x85\xa0\xa1ÿĀя\u2003☃\ue000\ufffd😀"

session = botocore.session.get_session()
MODELS = {service: session.get_service_model(service) for service in SERVICES}
OPERATIONS = {
    name: MODELS[service].operation_model(name)
    for service in SERVICES
    for name in MODELS[service].operation_names
}


def serialize(operation, params) -> dict[str, str]:
    """The form of a request. Nothing is checked, so that wrong values go through."""
    protocol = operation.service_model.metadata["protocol"]
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    return serializer.serialize_to_request(params, operation)["body"]


def parse(operation, status: int, headers: dict, body: bytes) -> dict:
    """What botocore makes of an answer."""
    parser = botocore.parsers.create_parser(operation.service_model.metadata["protocol"])
    answer = {"status_code": status, "headers": headers, "body": body}
    return parser.parse(answer, operation.output_shape)


def matches(pattern: str, text: str) -> bool:
    r"""Whether a whole text satisfies a pattern of the model; `\w` and `\d` are ASCII there."""
    # `\u` takes four digits, so a fifth would be a character of its own; XML's range is meant.
    pattern = pattern.replace(r"\u10000-\u10FFFF", "\U00010000-\U0010FFFF")
    if UNICODE_CLASSES in pattern:
        letters = "".join(c for c in set(text) if unicodedata.category(c)[0] in "LZN")
        pattern = pattern.replace(UNICODE_CLASSES, re.escape(letters))
    return re.fullmatch(pattern, text, re.ASCII) is not None


# Texts of a wanted length that satisfy a pattern which no repeated letter or digit does.
SAMPLES = {
    r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)": lambda n: "/" + "p" * (n - 2) + "/" * (n > 1),
    r"((/[A-Za-z0-9\.,\+@=_-]+)*)/": lambda n: "/" + "p" * (n - 2) + "/" * (n > 1),
    r"\u002F[\u0021-\u007F]*": lambda n: "/" + "p" * (n - 1),
    r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?": lambda n: "v" + "1" * max(n - 1, 1),
    r"\d{12}": lambda _: "1" * 12,
    r"^o-[0-9a-z]{10,32}\/r-[0-9a-z]{4,32}[0-9a-z-\/]*": lambda n: "o-0123456789/r-" + "a" * (n - 15),
}


def sample(shape, length=None) -> str:
    """A text that satisfies a string shape's constraints, but for its length if one is wanted."""
    if shape.enum:
        return shape.enum[0]
    least, most = shape.metadata.get("min", 1), shape.metadata.get("max")
    if length is None:
        length = max(least, 2 if most is None else min(2, most))
    pattern = shape.metadata.get("pattern")
    if pattern is None:
        return "a" * length
    makers = [SAMPLES[pattern]] if pattern in SAMPLES else [lambda n: "a" * n, lambda n: "1" * n]
    # A repeated capital serves the patterns that take nothing else.
    makers.append(lambda n: "A" * n)
    for make in makers:
        # A text of a wrong length may match no pattern: that it is refused is what counts.
        wrong = length < least or (most is not None and length > most)
        if wrong or matches(pattern, make(length)):
            return make(length)
    raise AssertionError(f"{shape.name}: no sample for {pattern}")


def minimal(shape, index=1):
    """The least value of a shape that its constraints allow; `index` tells members of a list
    apart."""
    kind = shape.type_name
    if kind == "structure":
        required = {name: shape.members[name] for name in shape.required_members}
        if not required:
            required = {name: member for name, member in list(shape.members.items())[:1]}
        return {name: minimal(member, index) for name, member in required.items()}
    if kind == "list":
        return [minimal(shape.member, n) for n in range(max(1, shape.metadata.get("min", 1)))]
    if kind in ("integer", "long"):
        return shape.metadata.get("min", 1)
    if kind == "boolean":
        return True
    if kind == "blob":
        return b"\x89PNG"
    assert kind == "string", kind
    text = sample(shape)
    if index > 1 and not shape.enum and "max" in shape.metadata:
        suffix = str(index)
        text = sample(shape, max(len(text), shape.metadata.get("min", 1)) + 3)
        text = text[: -len(suffix)] + suffix if not text.endswith("/") else text
    return text


def request(operation) -> dict:
    """The least request that satisfies an operation's constraints."""
    shape = operation.input_shape
    if shape is None:
        return {}
    return {name: minimal(shape.members[name]) for name in shape.required_members}


@dataclass
class Member:
    """One member of an operation's input, however deep."""

    operation: object
    # Names and, for the member of a list, the index 0.
    path: tuple
    shape: object
    required: bool

    @property
    def name(self) -> str:
        """Such as `CreateUser.Tags.0.Key`."""
        return ".".join([self.operation.name, *map(str, self.path)])

    @property
    def shown(self) -> str:
        """As AWS's messages name it: `tags.1.member.key`."""
        parts = ["1.member" if part == 0 else part[:1].lower() + part[1:] for part in self.path]
        return ".".join(parts)

    def without(self) -> dict:
        """A request that lacks it, and is else as complete as it must be."""
        params = self.around()
        target = params
        for part in self.path[:-1]:
            target = target[part]
        target.pop(self.path[-1], None)
        return params

    def set(self, value) -> dict:
        """A request in which it has this value."""
        params = self.around()
        target = params
        for part in self.path[:-1]:
            target = target[part]
        target[self.path[-1]] = value
        return params

    def around(self) -> dict:
        """A request that holds everything that the member stands in."""
        params = request(self.operation)
        target, shape = params, self.operation.input_shape
        for part in self.path[:-1]:
            shape = shape.member if part == 0 else shape.members[part]
            if part != 0 and part not in target:
                target[part] = minimal(shape)
            target = target[part]
        return params


def members(operation) -> list[Member]:
    """All members of an operation's input."""
    found = []

    def walk(shape, path):
        if shape.type_name == "structure":
            for name, member in shape.members.items():
                required = name in shape.required_members
                found.append(Member(operation, (*path, name), member, required))
                walk(member, (*path, name))
        elif shape.type_name == "list":
            if shape.member.type_name != "structure":
                found.append(Member(operation, (*path, 0), shape.member, False))
            walk(shape.member, (*path, 0))

    if operation.input_shape is not None:
        walk(operation.input_shape, ())
    return found


@dataclass
class Probe:
    """A request, and what the answer must or must not say."""

    what: str
    operation: object
    params: dict
    # Stands in the answer if the request goes past a limit.
    refusal: str | None


def probes(member: Member, greatest: int) -> list[Probe]:
    """Requests at and one past each limit of a member, as long as they are no longer than
    `greatest` bytes."""
    at = f"at '{member.shown}' failed to satisfy constraint: "
    found = []

    def add(what, params, refusal=None):
        refusal = None if refusal is None else f"{at}Member must {refusal}"
        found.append(Probe(f"{member.name} {what}", member.operation, params, refusal))

    if member.required:
        add("missing", member.without(), "not be null")
    kind, limits = member.shape.type_name, member.shape.metadata
    least, most = limits.get("min"), limits.get("max")
    if kind == "string":
        add_texts(member, add, least, most, greatest)
    elif kind in ("integer", "long"):
        if least is not None:
            add("least", member.set(least))
            add("below", member.set(least - 1), f"have value greater than or equal to {least}")
        if most is not None:
            add("most", member.set(most))
            add("above", member.set(most + 1), f"have value less than or equal to {most}")
    elif kind == "list" and most is not None:
        item = member.shape.member
        add("most", member.set([minimal(item, n) for n in range(1, most + 1)]))
        over = [minimal(item, n) for n in range(1, most + 2)]
        add("above", member.set(over), f"have length less than or equal to {most}")
    else:
        add("present", member.set(minimal(member.shape)))
    return found


def add_texts(member, add, least, most, greatest):
    """The requests about a text."""
    shape = member.shape
    if shape.enum:
        for word in shape.enum:
            add(f"is {word}", member.set(word))
        add("is no word", member.set("NoSuchWord"), "satisfy enum value set: [")
        return
    if least is not None:
        add("shortest", member.set(sample(shape, least)))
    if least:
        short = sample(shape, least - 1) if least > 1 else ""
        add("too short", member.set(short), f"have length greater than or equal to {least}")
    if most is not None and most < greatest:
        add("longest", member.set(sample(shape, most)))
        long = sample(shape, most)[:1] + sample(shape, most)
        add("too long", member.set(long), f"have length less than or equal to {most}")
    if least is None and most is None:
        add("present", member.set(sample(shape)))
    if "pattern" in shape.metadata:
        bad = spoiled(shape, "\x01")
        add("spoiled", member.set(bad), f"satisfy regular expression pattern: {shape.metadata['pattern']}")


def spoiled(shape, c: str) -> str:
    """A sample with one character put into its middle."""
    most = shape.metadata.get("max", 64)
    text = sample(shape, min(max(shape.metadata.get("min", 1), 4), most))
    middle = len(text) // 2
    return text[:middle] + c + text[middle + (len(text) == most) :]


def mistakes(shape, element, path: str, seen: set) -> list[str]:
    """How an XML element differs from an output shape. Adds the `(shape, member)`s that it has to
    `seen`."""
    kind = shape.type_name
    if kind == "structure":
        found = []
        present = [tag(child) for child in element]
        for name in shape.required_members:
            if serialized(shape, name) not in present:
                found.append(f"{path}: required {name} is missing")
        by_name = {serialized(shape, name): name for name in shape.members}
        for child in element:
            name = by_name.get(tag(child))
            if name is None:
                found.append(f"{path}: {tag(child)} is no member of {shape.name}")
                continue
            seen.add((shape.name, name))
            found += mistakes(shape.members[name], child, f"{path}.{name}", seen)
        order = [name for name in present if present.count(name) > 1]
        return found + [f"{path}: {name} occurs twice" for name in order]
    if kind == "list":
        found = []
        for child in element:
            if tag(child) != "member":
                found.append(f"{path}: {tag(child)} in a list")
            found += mistakes(shape.member, child, path, seen)
        return found
    if kind == "map":
        found = []
        for entry in element:
            names = [tag(child) for child in entry]
            if (tag(entry), names) != ("entry", ["key", "value"]):
                found.append(f"{path}: {tag(entry)} of {names} in a map")
            else:
                found += mistakes(shape.key, entry[0], path, seen)
                found += mistakes(shape.value, entry[1], path, seen)
        return found
    return text_mistakes(shape, element.text or "", path)


def text_mistakes(shape, text: str, path: str) -> list[str]:
    """How a plain value differs from its shape."""
    kind = shape.type_name
    forms = {
        "boolean": r"true|false",
        "integer": r"-?[0-9]+",
        "long": r"-?[0-9]+",
        "timestamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z",
        "blob": r"[A-Za-z0-9+/\s]*=*",
    }
    if kind in forms:
        good = re.fullmatch(forms[kind], text) is not None
        return [] if good else [f"{path}: {text!r} is no {kind}"]
    assert kind == "string", kind
    if shape.enum and text not in shape.enum:
        return [f"{path}: {text!r} is none of {shape.enum}"]
    limits = shape.metadata
    if not limits.get("min", 0) <= len(text) <= limits.get("max", len(text)):
        return [f"{path}: {text!r} is too short or too long"]
    if "pattern" in limits and text and not matches(limits["pattern"], text):
        return [f"{path}: {text!r} does not match {limits['pattern']}"]
    return []


def serialized(shape, name: str) -> str:
    """The element that a member is."""
    return shape.members[name].serialization.get("name", name)


def tag(element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def result_of(operation, body: bytes):
    """The element that holds an answer's output, if the operation has any."""
    root = xml.etree.ElementTree.fromstring(body)
    wrapper = operation.output_shape.serialization["resultWrapper"]
    assert tag(root) == f"{operation.name}Response", tag(root)
    found = [child for child in root if tag(child) == wrapper]
    assert len(found) == 1, f"{operation.name}: no {wrapper}"
    return found[0]


def output_members(operation) -> set[tuple[str, str]]:
    """All `(shape, member)`s that an operation's output may hold."""
    found: set[tuple[str, str]] = set()

    def walk(shape):
        if shape.type_name == "structure":
            for name, member in shape.members.items():
                if (shape.name, name) not in found:
                    found.add((shape.name, name))
                    walk(member)
        elif shape.type_name == "list":
            walk(shape.member)

    if operation.output_shape is not None:
        walk(operation.output_shape)
    return found
