"""What a machine can check of the rules that this tree's code follows. Each rule looks at a Tree
and yields (path, line, sentence); `run` prints them, `self_test` shows that each can fail."""
import collections
import os
import re
import subprocess

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

TOP_LEVEL = {"Makefile", "README.md", "LICENSE", "broker", "agency", "worker", "proto", "tests",
             "deploy"}

# Which folders a folder's files may include from. Tests may from everywhere.
INCLUDES = {
    "proto/wire": ["proto/wire"],
    "proto/host": ["proto/host", "proto/wire"],
    "broker": ["broker", "proto"],
    "worker": ["worker", "proto"],
    "agency": ["agency", "proto"],
    "deploy": ["deploy", "proto"],
}

# A core has no I/O, clock, random, environment and log.
CORE_HEADERS = {"zmq.h", "czmq.h", "time.h", "sys/time.h", "unistd.h", "fcntl.h", "poll.h",
                "netdb.h", "sys/socket.h", "sys/stat.h", "sys/random.h", "pthread.h", "signal.h",
                "syslog.h", "lmdb.h", "sqlite3.h"}
CORE_CALLS = ("printf|fprintf|dprintf|vprintf|vfprintf|puts|fputs|putchar|fputc|"
              "fwrite|perror|syslog|fopen|open|read|write|send|recv|socket|poll|"
              "time|clock|clock_gettime|gettimeofday|localtime|localtime_r|gmtime|"
              "gmtime_r|getenv|secure_getenv|setenv|rand|srand|random|getrandom|fork|"
              "exit|zmq_[a-z_]+|log_[a-z_]+")
CORE_EXCEPTIONS = {"proto/wire/check.c"}  # tells why the program ends, then ends it

GLOBAL_EXCEPTIONS = {"proto/host/log.c"}  # set once, before there is a second thread

BANNED = {
    "strcpy": "copy with a bound", "stpcpy": "copy with a bound", "strcat": "write with a bound",
    "strncat": "write with a bound", "sprintf": "snprintf has a bound",
    "vsprintf": "vsnprintf has a bound", "gets": "it has no bound",
    "atoi": "it cannot tell an error",
    "atol": "it cannot tell an error", "atoll": "it cannot tell an error",
    "strtok": "it keeps state of its own", "alloca": "its failure cannot be seen",
    "system": "it runs a shell", "popen": "it runs a shell",
    "signal": "use sigaction or proto/host/stop",
    "sleep": "wait for the event, with a deadline", "usleep": "wait for the event, with a deadline",
    "nanosleep": "wait for the event, with a deadline", "rand": "proto/host/random asks the kernel",
    "srand": "proto/host/random asks the kernel", "assert": "CHECK stays on in production",
}
BANNED_WORDS = {"tmp", "data", "info", "util", "utils", "helper", "helpers", "manager"}
SCRIPT_SLEEP = re.compile(
    r"\btime\.sleep\s*\(|(^|[;&|]|\bdo\b|\bthen\b)\s*sleep\s+[0-9.$\"]")
LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
# A comment, a string or a character; what remains keeps its lines and columns.
NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def blank(match):
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return re.sub(r"[^\n]", " ", text)


class Tree:
    """The files of a tree, relative to its root, and what its Makefile says about them."""

    def __init__(self, root, files, cores, listed):
        self.root = root
        self.files = sorted(files)
        self.cores = set(cores)    # without their ending: "proto/wire/bet"
        self.listed = set(listed)  # likewise: all that some list of the Makefile names
        self.read_before = {}

    def text(self, path):
        if path not in self.read_before:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self.read_before[path] = file.read()
        return self.read_before[path]

    def lines(self, path):
        return enumerate(self.text(path).split("\n"), 1)

    def code(self, path):
        """Its lines without comments, strings and characters."""
        return enumerate(NOT_CODE.sub(blank, self.text(path)).split("\n"), 1)

    def ending_in(self, *endings):
        return [path for path in self.files if path.endswith(endings)]

    def c_files(self):
        return self.ending_in(".c", ".h")

    def scripts(self):
        """In Python or for a shell, except those that tell the rules themselves."""
        return [path for path in self.files if not path.startswith("tests/lint/") and
                (path.endswith((".py", ".sh")) or self.text(path).startswith("#!"))]

    def includes(self, path):
        for number, line in self.lines(path):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1) == '"', match.group(2)

    def functions(self, path):
        """Line of the opening brace, line of the closing one, signature. clang-format puts only a
        function's brace into the first column."""
        begin = None
        lines = list(self.code(path))
        for number, line in lines:
            if line == "{":
                first = number - 1
                while first > 1 and re.match(r"\s", lines[first - 1][1]):
                    first -= 1
                begin, signature = number, " ".join(l for _, l in lines[first - 1:number - 1])
            elif line == "}" and begin:
                yield begin, number, signature
                begin = None

    def is_core(self, path):
        base = path[:-2]
        folder = os.path.dirname(path)
        if base in self.cores or folder == "proto/wire":
            return True
        # A header without a file of code beside it belongs to the cores of its role.
        return (path.endswith(".h") and folder in ("broker", "worker", "agency")
                and base + ".c" not in self.files)


# ---- floors ----

def includes_look_down(tree):
    for path in tree.c_files():
        allowed = next((folders for folder, folders in INCLUDES.items()
                        if path.startswith(folder + "/")), None)
        if allowed is None:
            continue
        for line, is_own, header in tree.includes(path):
            if is_own and not any(header.startswith(folder + "/") for folder in allowed):
                yield path, line, f'includes "{header}", but its floors are {", ".join(allowed)}'


def find_shell(tree, header):
    """A module of a shell's list that including this header brings along; None: none."""
    reached, waiting = set(), [header]
    while waiting:
        header = waiting.pop()
        if header in reached or header not in tree.files:
            continue
        reached.add(header)
        if header[:-2] in tree.listed and not tree.is_core(header):
            return header
        waiting += [below for _, is_own, below in tree.includes(header) if is_own]
    return None


def cores_are_pure(tree):
    call = re.compile(r"(?<![\w.>])(" + CORE_CALLS + r")\s*\(")
    for path in tree.c_files():
        if not tree.is_core(path) or path in CORE_EXCEPTIONS:
            continue
        for line, _, header in tree.includes(path):
            if header.startswith("proto/host/") or header in CORE_HEADERS:
                yield path, line, f"a core includes {header}"
            elif path[:-2] in tree.cores and (shell := find_shell(tree, header)):
                yield path, line, f"a core includes {header}, and so {shell}"
        for line, code in tree.code(path):
            for match in call.finditer(code):
                yield path, line, f"a core calls {match.group(1)}()"


def own_header_stands_first(tree):
    for path in tree.ending_in(".c"):
        own = path[:-2] + ".h"
        if own not in tree.files:
            continue
        first = next(tree.includes(path), (1, True, "nothing"))
        if first[2] != own:
            yield path, first[0], f'includes {first[2]} first, not its own header "{own}"'


def headers_do_not_include_in_a_circle(tree):
    below = {path: [header for _, is_own, header in tree.includes(path) if is_own]
             for path in tree.ending_in(".h")}
    for path in below:
        reached, waiting = set(), collections.deque(below[path])
        while waiting:
            header = waiting.popleft()
            if header not in reached:
                reached.add(header)
                waiting.extend(below.get(header, []))
        if path in reached:
            yield path, 1, "includes itself through its own includes"


def sockets_have_one_place(tree):
    for path in tree.c_files():
        if path.startswith("tests/") or path == "proto/host/socket.c":
            continue
        for line, code in tree.code(path):
            if re.search(r"\bz(mq_socket|sock_new\w*)\s*\(", code):
                yield path, line, "opens a socket; that is proto/host/socket's"


# ---- sizes ----

def files_are_short(tree):
    for path in tree.ending_in(".c", ".h", ".py"):
        count = tree.text(path).count("\n")
        if count > FILE_LINES_MAX:
            yield path, count, f"has {count} lines, {FILE_LINES_MAX} at most"


def functions_are_short(tree):
    for path in tree.c_files():
        for begin, end, _ in tree.functions(path):
            if end - begin > FUNCTION_LINES_MAX:
                yield (path, begin,
                       f"a function of {end - begin} lines, {FUNCTION_LINES_MAX} at most")


def lines_are_short(tree):
    for path in tree.ending_in(".c", ".h", ".py"):
        for number, line in tree.lines(path):
            if len(line) > COLUMNS_MAX:
                yield path, number, f"is {len(line)} columns wide, {COLUMNS_MAX} at most"


# ---- what is not used here ----

def banned_calls(tree):
    call = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for path in tree.c_files():
        for line, code in tree.code(path):
            for match in call.finditer(code):
                yield path, line, f"{match.group(1)}(): {BANNED[match.group(1)]}"
    for path in tree.scripts():
        for line, text in tree.lines(path):
            if path.startswith("tests/") and SCRIPT_SLEEP.search(text.split("#")[0]):
                yield path, line, "a test sleeps: wait for the event, with a deadline"


def structs_keep_their_tags(tree):
    for path in tree.c_files():
        for line, code in tree.code(path):
            if re.search(r"\btypedef\s+(struct|union)\b", code):
                yield path, line, "a typedef hides a struct"


def banned_words(tree):
    for path in tree.c_files():
        words = set(re.split(r"[_.]", os.path.basename(path)))
        for word in words & BANNED_WORDS:
            yield path, 1, f"a file's name says '{word}', which says nothing"
        for line, _, signature in tree.functions(path):
            name = re.search(r"(\w+)\s*\(", signature)
            if name and set(name.group(1).split("_")) & BANNED_WORDS:
                yield path, line, f"{name.group(1)}() has a word in its name that says nothing"


def nothing_is_left_for_later(tree):
    for path in tree.files:
        if path.startswith("tests/lint/") or path.endswith((".csv", ".png", ".bin")):
            continue
        for number, line in tree.lines(path):
            match = LATER.search(line)
            if match:
                yield path, number, f"{match.group(1)} leaves something for later"


def globals_do_not_change(tree):
    variable = re.compile(r"^static (?!const\b)[^(]*[;=]")
    for path in tree.ending_in(".c"):
        if path.startswith("tests/") or path in GLOBAL_EXCEPTIONS:
            continue
        for line, code in tree.code(path):
            if variable.match(code):
                yield path, line, "a variable that is everybody's and can change"


# ---- layout ----

def top_level_is_the_designed_one(tree):
    for name in sorted({path.split("/")[0] for path in tree.files}):
        if name not in TOP_LEVEL and not name.startswith("."):
            yield name, 1, "does not belong to the top level"


def folders_of_sources_have_a_readme(tree):
    folders = {os.path.dirname(path) for path in tree.ending_in(".c", ".h", ".py")}
    for folder in sorted(folders):
        beside = [os.path.join(place, "README.md") for place in (folder, os.path.dirname(folder))]
        if not any(readme in tree.files for readme in beside if "/" in readme):
            yield folder, 1, "has sources and no README.md, nor has the folder above"


def headers_have_their_guard(tree):
    for path in tree.ending_in(".h"):
        guard = "SORTEO_" + re.sub(r"\W", "_", path).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in tree.text(path):
            yield path, 1, f"has no guard {guard}"


def headers_are_self_contained(tree):
    for path in tree.ending_in(".h"):
        compiler = [os.environ.get("CC", "gcc"), "-std=c11", "-D_GNU_SOURCE", "-I.", "-x", "c"]
        done = subprocess.run(compiler + ["-fsyntax-only", path], cwd=tree.root,
                              capture_output=True, text=True)
        if done.returncode != 0:
            first = next((l for l in done.stderr.split("\n") if "error" in l), "no compiler")
            place = re.match(re.escape(path) + r":(\d+):\d+: (.*)", first)
            yield (path, int(place.group(1)) if place else 1,
                   "does not compile alone: " + (place.group(2) if place else first))


def sources_stand_in_the_makefile(tree):
    for path in tree.ending_in(".c"):
        if os.path.basename(path) != "main.c" and path[:-2] not in tree.listed:
            yield path, 1, "stands in no list of the Makefile: nobody builds it"


RULES = [includes_look_down, cores_are_pure, own_header_stands_first,
         headers_do_not_include_in_a_circle, sockets_have_one_place, files_are_short,
         functions_are_short, lines_are_short, banned_calls, structs_keep_their_tags,
         banned_words, globals_do_not_change, nothing_is_left_for_later,
         top_level_is_the_designed_one, folders_of_sources_have_a_readme,
         headers_have_their_guard, headers_are_self_contained,
         sources_stand_in_the_makefile]


def problems(tree, rules=None):
    """All of them, in the order of the rules."""
    for rule in rules or RULES:
        for path, line, sentence in rule(tree):
            yield rule, path, line, sentence
