//! `service`: a server that runs beside a test, in a network that the two share.

use crate::graph::graph::Select;
use crate::graph::op::{Command, Ready, Service};
use crate::lang::decl::Edges;
use crate::lang::decl::run::{ENV, EXEC, MOUNT, SH, mounts};
use crate::lang::item::{Given, Item};
use crate::lang::table::{Line, Often, Slot, Wants, may, must, one, some};

pub(super) const LINE: Line = Line {
    word: "service",
    doc: "A server that the test reaches by this name. It is ready by its health check, else when its port accepts.",
    example: "service api from=app port=8080",
    arguments: &[one("NAME", Slot::Name)],
    properties: &[
        must("from", Slot::Reference(Wants::Root), "What it runs."),
        must("port", Slot::Int { min: 1, max: 65535 }, "Where it listens."),
    ],
    body: &[&ENV, &CMD, &MOUNT, &READY],
    ..Line::EMPTY
};

const CMD: Line = Line {
    word: "cmd",
    doc: "What is executed, instead of what the image says.",
    example: "cmd \"server\" \"--port\" \"8080\"",
    often: Often::Maybe,
    arguments: &[some("ARGV", Slot::Text)],
    ..Line::EMPTY
};

const READY: Line = Line {
    word: "ready",
    doc: "A command that succeeds as soon as the server is ready.",
    example: "ready timeout=\"30s\" { exec \"pg_isready\"; }",
    often: Often::Maybe,
    properties: &[may("timeout", Slot::Duration, "How long that may take; default 1 minute.")],
    body: &[&EXEC, &SH],
    ..Line::EMPTY
};

pub(super) fn lower(line: &Item, edges: &mut Edges<'_>) -> Option<Service> {
    let name = line.text()?;
    let from = line.property("from")?.reference()?;
    let port = line.property("port").and_then(Given::int)?;
    Some(Service {
        name: name.to_owned(),
        from: edges.add(format!("service {name}"), from, Select::default()),
        port: u16::try_from(port).ok()?,
        env: line.each("env").flat_map(Item::assignments).collect(),
        cmd: line.only("cmd").map(Item::texts),
        mounts: mounts(line, edges),
        ready: line.only("ready").and_then(ready),
    })
}

fn ready(line: &Item) -> Option<Ready> {
    let command = match line.body.first()? {
        exec if exec.line.word == EXEC.word => Command::Exec(exec.texts()),
        sh => Command::Sh(sh.text()?.to_owned()),
    };
    let timeout = line.property("timeout").and_then(Given::duration);
    Some(Ready { command, timeout: timeout.map(|time| time.div_ceil(1_000_000_000)) })
}
