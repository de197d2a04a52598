//! The rows of `run`: all that a body of commands may say.

use crate::lang::decl::place::{COPY, DIR, EXTRACT, FILE, MERGE, REMOVE, SYMLINK};
use crate::lang::structure::{EACH, PICK};
use crate::lang::table::{Holds, INCLUDE, Line, Often, Slot, Wants, may, maybe, must, one, some};

pub const LINE: Line = Line {
    word: "run",
    doc: "Executes commands on a root filesystem. They see that, what is mounted, and nothing else.",
    example: "run build {\n    from base\n    mount src at=\"/src\"\n    exec \"make\" \"-C\" \"/src\"\n    output dist \"/src/dist\"\n}",
    arguments: &[one("NAME", Slot::Name)],
    body: &BODY_OF_RUN,
    holds: Holds::Node,
    ..Line::EMPTY
};

/// Lines that `test` has, too.
pub const BODY_OF_RUN: [&Line; 29] = [
    &FROM,
    &COPY,
    &EXTRACT,
    &MERGE,
    &FILE,
    &DIR,
    &SYMLINK,
    &REMOVE,
    &MOUNT,
    &CACHE,
    &SECRET_MOUNT,
    &SSH,
    &TMPFS,
    &ENV,
    &WORKDIR,
    &USER,
    &SHELL,
    &HOSTNAME,
    &ADD_HOST,
    &NETWORK,
    &PRIVILEGED,
    &DEVICE,
    &LIMITS,
    &RETRY,
    &EXEC,
    &SH,
    &OUTPUT,
    &RERUN,
    &SALT,
];

const FROM: Line = Line {
    word: "from",
    doc: "The root filesystem it runs on: an image, a `run`, a `tree` with `from`, `scratch`, or `host` (this machine's programs).",
    example: "from base",
    often: Often::Once,
    arguments: &[one("REF", Slot::Reference(Wants::RootOrHost))],
    properties: &[
        may("inherit", Slot::Bool, "Whether env, workdir, user and shell of REF hold; default #true."),
        may(
            "platform",
            Slot::Word(&["build", "target"]),
            "`build`: REF for this machine, where the commands then execute; default `target`.",
        ),
    ],
    body: &[&PICK],
    ..Line::EMPTY
};

pub const MOUNT: Line = Line {
    word: "mount",
    doc: "Files of another node, seen by this run only.",
    example: "mount src at=\"/src\" access=ro",
    arguments: &[one("REF", Slot::Reference(Wants::Tree))],
    properties: &[
        must("at", Slot::Path, "Where they are seen."),
        may("path", Slot::Part, "The part of REF that is mounted; a root filesystem needs one."),
        may(
            "access",
            Slot::Word(&["cow", "ro"]),
            "`cow` (default): writes are allowed and thrown away; `ro`: they fail.",
        ),
    ],
    body: &[&PICK, &EACH],
    ..Line::EMPTY
};

pub const ENV: Line = Line {
    word: "env",
    doc: "Environment variables, for this run only; `#null` removes an inherited one.",
    example: "env CGO_ENABLED=\"0\" DEBUG=#null",
    free: Some(Slot::Late),
    removable: true,
    ..Line::EMPTY
};

const WORKDIR: Line = Line {
    word: "workdir",
    doc: "The folder that the commands start in; it is made.",
    example: "workdir \"/src\"",
    often: Often::Maybe,
    arguments: &[one("PATH", Slot::Path)],
    ..Line::EMPTY
};

const USER: Line = Line {
    word: "user",
    doc: "The user that the commands run as, for this run only.",
    example: "user \"node\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

const SHELL: Line = Line {
    word: "shell",
    doc: "What `sh` calls with the script as last argument; default \"/bin/sh\" \"-e\" \"-c\".",
    example: "shell \"/bin/bash\" \"-eu\" \"-c\"",
    often: Often::Maybe,
    arguments: &[some("ARGV", Slot::Text)],
    ..Line::EMPTY
};

const HOSTNAME: Line = Line {
    word: "hostname",
    doc: "The name of the machine that the commands see.",
    example: "hostname \"builder\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};

const NETWORK: Line = Line {
    word: "network",
    doc: "What may be reached: alone, what the policy allows; `intercept`: the same, and what TLS hides is seen and recorded too, so that `memobuild lock` can pin what is fetched; `host`: all that this machine reaches; `locked`: the same, since the lock file holds what leaves the run. Without the line: nothing.",
    example: "network host",
    often: Often::Maybe,
    arguments: &[maybe("WHICH", Slot::Word(&["host", "intercept", "locked"]))],
    ..Line::EMPTY
};

const CACHE: Line = Line {
    word: "cache",
    doc: "A folder that outlives the run. What is in it must not matter for the result.",
    example: "cache npm at=\"/root/.npm\"",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        must("at", Slot::Path, "Where it is seen."),
        may(
            "sharing",
            Slot::Word(&["shared", "private", "locked"]),
            "`shared` (default): by any number of runs at once; `private`: each has its own; `locked`: one after the other. Tools that go by times (make, cargo) need one of these two where several runs use it at once.",
        ),
        may("scope", Slot::Word(&["workspace", "package"]), "Who shares the name; default `workspace`."),
        may("per", Slot::Name, "An axis: each of its values has its own."),
        may("owner", Slot::Text, "Default: the run's user."),
        may("mode", Slot::Mode, "Default 0o755."),
        may("seed", Slot::Reference(Wants::Tree), "What a new one begins with."),
    ],
    ..Line::EMPTY
};

const SECRET_MOUNT: Line = Line {
    word: "secret",
    doc: "A value that enters no key, no log and no image: as a file (`at`) or a variable (`env`).",
    example: "secret npm-token env=\"NPM_TOKEN\"",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        may("at", Slot::Path, "Where its file is seen."),
        may("env", Slot::Text, "The variable that holds it."),
        may("optional", Slot::Bool, "Whether it may be missing; default #false."),
        may("owner", Slot::Text, "Default: the run's user."),
        may("mode", Slot::Mode, "Default 0o400."),
    ],
    ..Line::EMPTY
};

const SSH: Line = Line {
    word: "ssh",
    doc: "The agent with the caller's keys, or another one that is known by name.",
    example: "ssh",
    arguments: &[maybe("NAME", Slot::Name)],
    ..Line::EMPTY
};

const TMPFS: Line = Line {
    word: "tmpfs",
    doc: "A folder in memory, empty at first and lost at the end.",
    example: "tmpfs \"/tmp\" size=\"512MiB\"",
    arguments: &[one("PATH", Slot::Path)],
    properties: &[may("size", Slot::Size, "The most that it holds.")],
    ..Line::EMPTY
};

const ADD_HOST: Line = Line {
    word: "add-host",
    doc: "A name that /etc/hosts tells.",
    example: "add-host \"db\" \"10.0.0.7\"",
    arguments: &[one("NAME", Slot::Text), one("ADDRESS", Slot::Text)],
    ..Line::EMPTY
};

const PRIVILEGED: Line = Line {
    word: "privileged",
    doc: "The commands may mount and make namespaces, with all rights in their own; the command line must allow it, too.",
    example: "privileged",
    often: Often::Maybe,
    ..Line::EMPTY
};

const DEVICE: Line = Line {
    word: "device",
    doc: "A device of this machine, by its name below /dev or its path; the command line must allow it, too.",
    example: "device \"kvm\"",
    arguments: &[one("NAME", Slot::Text)],
    ..Line::EMPTY
};

const LIMITS: Line = Line {
    word: "limits",
    doc: "Limits; no part of the key.",
    example: "limits timeout=\"10m\" disk=\"2GiB\"",
    often: Often::Maybe,
    properties: &[
        may("timeout", Slot::Duration, "How long all commands together may take."),
        may("cpu", Slot::Int { min: 1, max: 1024 }, "Processors."),
        may("memory", Slot::Size, "Of all processes together."),
        may("pids", Slot::Int { min: 1, max: 1 << 22 }, "Processes and threads at once."),
        may("disk", Slot::Size, "What it may write: onto its root and what is mounted for writing."),
    ],
    ..Line::EMPTY
};

const RETRY: Line = Line {
    word: "retry",
    doc: "How often a run that failed is tried again, from the beginning; no part of the key.",
    example: "retry 2",
    often: Often::Maybe,
    arguments: &[one("TIMES", Slot::Int { min: 0, max: 100 })],
    ..Line::EMPTY
};

const RERUN: Line = Line {
    word: "rerun",
    doc: "`rerun always`: executes in every build, whatever is remembered.",
    example: "rerun always",
    often: Often::Maybe,
    arguments: &[one("always", Slot::Word(&["always"]))],
    ..Line::EMPTY
};

pub const EXEC: Line = Line {
    word: "exec",
    doc: "A command: program and arguments, without a shell. Several are executed in order.",
    example: "exec \"make\" \"all\"",
    arguments: &[some("ARGV", Slot::Text)],
    ..Line::EMPTY
};

pub const SH: Line = Line {
    word: "sh",
    doc: "A script for the shell. Never substituted: values enter by `env`.",
    example: "sh #\"echo \"$VERSION\" > /out/version\"#",
    arguments: &[one("SCRIPT", Slot::Script)],
    ..Line::EMPTY
};

const OUTPUT: Line = Line {
    word: "output",
    doc: "A path that is kept, as `RUN.NAME`. A folder is made beforehand.",
    example: "output dist \"/src/dist\"",
    arguments: &[one("NAME", Slot::Name), one("PATH", Slot::Path)],
    properties: &[
        may("type", Slot::Word(&["dir", "file"]), "Default `dir`."),
        may("optional", Slot::Bool, "Whether it may be missing; default #false."),
    ],
    body: &[&INCLUDE],
    ..Line::EMPTY
};

const SALT: Line = Line {
    word: "salt",
    doc: "Any text; another text is another key.",
    example: "salt \"2026-11\"",
    often: Often::Maybe,
    arguments: &[one("TEXT", Slot::Text)],
    ..Line::EMPTY
};
