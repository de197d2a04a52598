//! `workspace`: what holds for all builds of a workspace. It makes no node: its lines lower to
//! `Settings` (`workspace/lower.rs`). A profile's body repeats the workspace's shape.

mod lower;

pub use lower::read;

use crate::lang::table::{DOC, Line, Often, Slot, may, maybe, must, one, some};

pub const LINE: Line = Line {
    word: "workspace",
    doc: "What holds for all builds of this workspace; in the root file only. `--profile NAME` lays one of its profiles, or the built-in `dev`, `ci` or `hermetic`, over it.",
    example: "workspace acme {\n    cache { l2 max=\"40GiB\"; }\n    policy { unpinned warn; }\n    profile ci { policy { unpinned deny; lock frozen; } }\n}",
    often: Often::Maybe,
    arguments: &[one("NAME", Slot::Name)],
    body: &[&CACHE, &REMOTE, &SECRET, &POLICY, &HOST, &PROFILE, &DOC],
    ..Line::EMPTY
};

const PROFILE: Line = Line {
    word: "profile",
    doc: "Settings that win over the workspace's where `--profile NAME` asks for them. One that is called like a built-in profile is laid over that.",
    example: "profile release { param mode=release; }",
    arguments: &[one("NAME", Slot::Name)],
    body: &[&CACHE, &REMOTE, &SECRET, &POLICY, &HOST, &PARAM, &DOC],
    ..Line::EMPTY
};

const PARAM: Line = Line {
    word: "param",
    doc: "Values of parameters of the root file; `--param` and their environment variables win.",
    example: "param mode=release",
    free: Some(Slot::Plain),
    ..Line::EMPTY
};

const CACHE: Line = Line {
    word: "cache",
    doc: "Where results are kept: `l1` in memory, `l2` on this machine's disk, `l3` on another machine.",
    example: "cache { l1 memory=\"512MiB\"; l2 max=\"40GiB\"; }",
    often: Often::Maybe,
    body: &[&L1, &L2, &L3],
    ..Line::EMPTY
};

const L1: Line = Line {
    word: "l1",
    doc: "Recent results, in the memory of the build.",
    example: "l1 memory=\"512MiB\"",
    often: Often::Maybe,
    properties: &[must("memory", Slot::Size, "How much memory it may take.")],
    ..Line::EMPTY
};

const L2: Line = Line {
    word: "l2",
    doc: "The store.",
    example: "l2 max=\"40GiB\"",
    often: Often::Maybe,
    properties: &[
        may("max", Slot::Size, "How large it may become before what is oldest is removed."),
        may(
            "path",
            Slot::Text,
            "Where it is; `--store` and `MEMOBUILD_STORE` win. Below the root unless absolute.",
        ),
    ],
    ..Line::EMPTY
};

const L3: Line = Line {
    word: "l3",
    doc: "Results that machines share.",
    example: "l3 \"ghcr.io/acme/buildcache\" push=#true",
    often: Often::Maybe,
    arguments: &[maybe("ADDRESS", Slot::Text)],
    properties: &[may("push", Slot::Bool, "Whether what is built here goes there.")],
    ..Line::EMPTY
};

const REMOTE: Line = Line {
    word: "remote",
    doc: "A registry that stands in for another.",
    example: "remote registry \"mirror.acme.internal\" for=\"docker.io\"",
    arguments: &[one("KIND", Slot::Word(&["registry"])), one("HOST", Slot::Text)],
    properties: &[
        must("for", Slot::Text, "The registry that build files name."),
        may("insecure", Slot::Bool, "It is asked over plain HTTP."),
    ],
    ..Line::EMPTY
};

const SECRET: Line = Line {
    word: "secret",
    doc: "Where the value of a secret is found; it enters no key and no image.",
    example: "secret npm-token from-env=\"NPM_TOKEN\"",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        may("from-env", Slot::Text, "An environment variable of the caller."),
        may(
            "from-file",
            Slot::Text,
            "A file of the caller; below the root unless it is absolute or begins with `~/`.",
        ),
        may("from-command", Slot::Text, "What this command of the caller's shell prints."),
    ],
    ..Line::EMPTY
};

const HOST: Line = Line {
    word: "host",
    doc: "Folders of this machine that runs on `host` see beside its program folders.",
    example: "host { include \"/opt/toolchain\"; }",
    often: Often::Maybe,
    body: &[&HOST_INCLUDE],
    ..Line::EMPTY
};

const HOST_INCLUDE: Line = Line {
    word: "include",
    doc: "Shows these folders, read-only.",
    example: "include \"/opt/toolchain\" optional=#true",
    arguments: &[some("PATH", Slot::Path)],
    properties: &[may("optional", Slot::Bool, "They may be missing.")],
    ..Line::EMPTY
};

const POLICY: Line = Line {
    word: "policy",
    doc: "What builds may do. What a target does not need is not looked at.",
    example: "policy { network deny; unpinned deny; }",
    often: Often::Maybe,
    body: &[&NETWORK, &UNPINNED, &ISOLATION, &REGISTRIES, &HOST_RULE, &GIT_VALUES, &LOCK],
    ..Line::EMPTY
};

const NETWORK: Line = Line {
    word: "network",
    doc: "Whether runs may use the network, or which hosts they may reach. `network locked` is always allowed, since its results are pinned.",
    example: "network deny",
    often: Often::Maybe,
    arguments: &[some("allow|deny|HOST", Slot::Choice)],
    ..Line::EMPTY
};

const UNPINNED: Line = Line {
    word: "unpinned",
    doc: "What happens where neither the build file nor memobuild.lock pins a source by its digest.",
    example: "unpinned warn",
    often: Often::Maybe,
    arguments: &[one("RULE", Slot::Word(&["allow", "warn", "deny"]))],
    ..Line::EMPTY
};

const ISOLATION: Line = Line {
    word: "isolation",
    doc: "The weakest rung on which runs may execute, as `memobuild doctor` names it.",
    example: "isolation B",
    often: Often::Maybe,
    arguments: &[one("RUNG", Slot::Word(&["A", "B", "C", "D", "E", "F"]))],
    ..Line::EMPTY
};

const REGISTRIES: Line = Line {
    word: "registries",
    doc: "The only registries that images may come from.",
    example: "registries \"docker.io\" \"ghcr.io\"",
    often: Often::Maybe,
    arguments: &[some("HOST", Slot::Text)],
    ..Line::EMPTY
};

const HOST_RULE: Line = Line {
    word: "host",
    doc: "Whether runs may stand on `host`.",
    example: "host deny",
    often: Often::Maybe,
    arguments: &[one("RULE", Slot::Word(&["allow", "deny"]))],
    ..Line::EMPTY
};

const GIT_VALUES: Line = Line {
    word: "git-values",
    doc: "Whether `${git.…}` may stand in values.",
    example: "git-values deny",
    often: Often::Maybe,
    arguments: &[one("RULE", Slot::Word(&["allow", "deny"]))],
    ..Line::EMPTY
};

const LOCK: Line = Line {
    word: "lock",
    doc: "`frozen`: memobuild.lock must hold all that it could hold, and `memobuild lock` does not write it.",
    example: "lock frozen",
    often: Often::Maybe,
    arguments: &[one("RULE", Slot::Word(&["frozen", "update"]))],
    ..Line::EMPTY
};

#[cfg(test)]
mod tests;
