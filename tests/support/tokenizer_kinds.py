"""Small tokenizer.json files of every structure that published models have, trained with the Python package, and texts
that try what tokenizers trip over."""

import gzip
import json
import random
import unicodedata

from bilens_cli import ROOT, test_data

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(add_prefix_space=False, use_regex=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def sequence(key, *parts):
    return {"type": "Sequence", key: list(parts)}


def before(*parts):
    return sequence("pretokenizers", *parts)


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def metaspace(scheme, split_too=True):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split_too}


def template(token, number):
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}},
    }


SPACES = replace(" ", "▁")
PREPENDED = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, SPACES)
UNSPACE = replace("▁", " ")
BOTH_ENDS = {"type": "Strip", "strip_left": True, "strip_right": True}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
FALLBACK, FUSE = {"type": "ByteFallback"}, {"type": "Fuse"}
WORDS = sequence("decoders", UNSPACE, FALLBACK, FUSE)
PREFIXED_WORDS = sequence("decoders", UNSPACE, FALLBACK, FUSE, STRIP)
PHI3_ADDED = [
    {"content": "<|user|>", "rstrip": True},
    {"content": "<|both|>", "lstrip": True, "rstrip": True},
    {"content": "word", "single_word": True, "special": False},
    {"content": "  ", "normalized": True, "special": False},
    {"content": "Tool", "normalized": True, "special": False, "lstrip": True},
    {"content": "<|user|>s"},
]

# What each has beside a BPE model: normalizer, pre-tokenizer, decoder, keys of the model, and more.
KINDS = {
    "gpt2": dict(pre_tokenizer=byte_level(use_regex=True)),
    "gpt2 with a space in front": dict(pre_tokenizer=byte_level(True, True), merges_as="strings"),
    "llama3": dict(
        pre_tokenizer=before(split(LLAMA3), byte_level()),
        model={"ignore_merges": True},
        post_processor=sequence("processors", byte_level(True), template("<s>", 1)),
    ),
    "qwen": dict(normalizer={"type": "NFC"}, pre_tokenizer=before(split(QWEN), byte_level())),
    "olmo2": dict(pre_tokenizer=before(split(LLAMA3, "Removed", True), byte_level()), merges_as="strings"),
    "smollm": dict(pre_tokenizer=before({"type": "Digits", "individual_digits": True}, byte_level(use_regex=True))),
    "gemma": dict(
        normalizer=SPACES,
        pre_tokenizer=split(" ", "MergedWithPrevious", kind="String"),
        decoder=WORDS,
        model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
        post_processor=template("<s>", 1),
    ),
    "mistral": dict(
        normalizer=PREPENDED,
        decoder=PREFIXED_WORDS,
        model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
        post_processor=template("<s>", 1),
    ),
    "mistral 3": dict(
        pre_tokenizer=metaspace("first", False),
        decoder=PREFIXED_WORDS,
        model={"byte_fallback": True, "unk_token": "<unk>"},
    ),
    "phi3": dict(
        normalizer=PREPENDED,
        decoder=PREFIXED_WORDS,
        model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
        added=PHI3_ADDED,
        merges_as="strings",
    ),
    "added tokens of bytes": dict(
        normalizer={"type": "Lowercase"}, pre_tokenizer=before(split(QWEN), byte_level()), added=PHI3_ADDED
    ),
    "gpt-4o": dict(pre_tokenizer=before(split(O200K), byte_level())),
    "deepseek": dict(
        pre_tokenizer=before(
            split(r"\p{N}{1,3}"), split(r"[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK), byte_level(use_regex=False)
        )
    ),
    "bloom": dict(pre_tokenizer=before(split(BLOOM), byte_level())),
    "falcon": dict(
        pre_tokenizer=before(
            {"type": "Punctuation", "behavior": "Contiguous"},
            byte_level(use_regex=True),
            {"type": "Digits", "individual_digits": False},
            split("[0-9][0-9][0-9]"),
        )
    ),
    "metaspace": dict(pre_tokenizer=metaspace("always"), decoder=metaspace("always"), model={"unk_token": "<unk>"}),
    "metaspace never": dict(
        pre_tokenizer=before(split("e", "MergedWithNext", kind="String"), metaspace("never")),
        decoder=metaspace("never"),
        model={"unk_token": "<unk>", "fuse_unk": True},
    ),
    "metaspace first": dict(
        normalizer=sequence("normalizers", {"type": "NFD"}, {"type": "Lowercase"}),
        pre_tokenizer=before(split(r"\d+", "Contiguous"), metaspace("first")),
        decoder=metaspace("first"),
        model={"unk_token": "<unk>", "byte_fallback": True},
        added=PHI3_ADDED,
    ),
    "whitespace": dict(
        normalizer=sequence("normalizers", {"type": "NFKC"}, BOTH_ENDS),
        pre_tokenizer=before({"type": "Whitespace"}, {"type": "Punctuation", "behavior": "MergedWithPrevious"}),
        decoder=None,
        model={"unk_token": "<unk>"},
    ),
    "replaced": dict(
        normalizer=sequence("normalizers", replace(r"\s{2,}", " ", "Regex"), {"type": "NFKD"}, replace("``", '"')),
        pre_tokenizer=before(split("[aeiou]+", "MergedWithPrevious"), split(r"(?<=\d)(?=\d)"), byte_level()),
    ),
}
WITH_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train(kind, lines, vocabulary=1500):
    """The Json of a tokenizer of that kind."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    keys = KINDS[kind]
    of_bytes = "ByteLevel" in json.dumps(keys.get("pre_tokenizer"))
    model = keys.get("model", {})
    frame = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": keys.get("normalizer"),
        "pre_tokenizer": keys.get("pre_tokenizer"),
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
    tokenizer = Tokenizer.from_str(json.dumps(frame))
    tokenizer.model = models.BPE()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special + (WITH_BYTES if model.get("byte_fallback") else []),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if of_bytes else [],
        limit_alphabet=1000 if of_bytes else 150,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    trained = json.loads(tokenizer.to_str())
    trained["model"].update(model)
    if keys.get("merges_as") == "strings":
        trained["model"]["merges"] = [" ".join(pair) for pair in trained["model"]["merges"]]
    trained["added_tokens"] = [token for token in trained["added_tokens"] if token["content"] in special]
    for token in keys.get("added", []):
        number = max(*trained["model"]["vocab"].values(), *(t["id"] for t in trained["added_tokens"])) + 1
        number = trained["model"]["vocab"].get(token["content"], number)
        flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        trained["added_tokens"].append({"id": number, **flags, **token})
    trained["decoder"] = keys.get("decoder", byte_level())
    trained["post_processor"] = keys.get("post_processor")
    return trained


WHITE_SPACE = list(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000\u200b\ufeff")
CHINESE = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生 ，。！？「」0９"
ARABIC = "السلام عليكم ورحمة الله وبركاته كيف حالك اليوم ١٢٣٤٥ كتاب مدرسة"
HINDI = "नमस्ते दुनिया यह एक परीक्षण है १२३४५ क्षत्रिय ज्ञान हिन्दी"
ODD = (
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 😀 ❤️ 👨🏿‍🚀 e\u0301 ñ n\u0303 Å 가 각 ﬁ ① Ⅷ ½ ٣ 𝔸 𝟘 ǅ ʰ İ Σς ſ K 'ſ ’s 'S 'LL I'Re ẞ ß"
    " <s> </s> <unk> <|endoftext|> <|user|> <|both|> word Tool TOOL <0x0A> ▁ ▁▁ Ġ Ċ 12345678 3.14 http://a.b/c?d=e _x_"
    " -- ... !!! \\n {}[]() a_b 's don't we'll X'S `` ''"
).split(" ")


def texts(count, seed=0):
    """Lines of stories, code, Chinese, Arabic, Hindi, emoji with joiners, white space of every kind, control and other
    characters: of those the ones that Python's Unicode has, for newer ones the libraries' tables differ."""
    name = "tinystories/tinystories-sample.txt.gz"
    stories = gzip.open(test_data(name) / name, "rt", encoding="utf-8").read().split("\n")
    code = [line for file in sorted((ROOT / "src").rglob("*.cpp")) for line in file.read_text().split("\n")]
    draw = random.Random(seed)
    words = (ARABIC + " " + HINDI).split(" ")
    ranges = [(0, 0x7F), (0, 0x2FF), (0, 0x2FFF), (0, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0, 0x10FFFF)]

    def some(parts, most):
        return "".join(draw.choice(parts) for _ in range(draw.randint(1, most)))

    def characters():
        chosen = (chr(draw.randint(*draw.choice(ranges))) for _ in range(draw.randint(1, 25)))
        return "".join(c for c in chosen if unicodedata.category(c) not in ("Cn", "Cs"))

    made = []
    for i in range(count):
        made.append(
            [
                lambda: draw.choice(stories),
                lambda: draw.choice(stories),
                lambda: draw.choice(code),
                lambda: draw.choice(code),
                lambda: some(CHINESE, 60),
                lambda: " ".join(draw.choice(words) for _ in range(draw.randint(1, 20))),
                lambda: some([*ODD, " ", "  ", "a", "B"], 30),
                lambda: some([*WHITE_SPACE, "a", "1", "!", "é", "中"], 40),
                characters,
                lambda: draw.choice(stories)[: draw.randint(0, 80)] + some([*ODD, " "], 5),
            ][i % 10]()
        )
    return made
