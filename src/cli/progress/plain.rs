//! One line for each thing that happens, for logs and pipes.

use std::collections::HashMap;

use crate::cli::print;
use crate::cli::progress::Lines;
use crate::engine::event::{Event, Watcher};
use crate::engine::report::Outcome;
use crate::exec::executor::Stream;
use crate::graph::graph::{Graph, NodeId};

pub(super) struct Plain<'g> {
    graph: &'g Graph,
    /// A command may leave a line unfinished on one stream while it writes to the other.
    lines: HashMap<(NodeId, bool), Lines>,
}

impl<'g> Plain<'g> {
    pub(super) fn new(graph: &'g Graph) -> Plain<'g> {
        Plain { graph, lines: HashMap::new() }
    }

    fn say(&self, node: NodeId, text: &str) {
        print::note(&self.line(node, text));
    }

    /// In one write, since a command may write millions.
    fn say_lines(&self, node: NodeId, lines: &[String]) {
        let lines: Vec<String> = lines.iter().map(|line| self.line(node, &format!("│ {line}"))).collect();
        if !lines.is_empty() {
            print::note(&lines.join("\n"));
        }
    }

    fn line(&self, node: NodeId, text: &str) -> String {
        format!("[{}] {text}", self.graph.node(node).name).trim_end().to_owned()
    }
}

impl Watcher for Plain<'_> {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Started { node } => self.say(node, "started"),
            Event::Output { node, stream, bytes } => {
                let key = (node, stream == Stream::Stdout);
                let lines = self.lines.entry(key).or_default().add(bytes);
                self.say_lines(node, &lines);
            }
            Event::Retried { node, reason, attempt, most } => {
                self.say(node, &format!("failed: {reason}; attempt {attempt} of {most} begins"));
            }
            Event::Settled { node, outcome, seconds } => {
                for is_stdout in [true, false] {
                    let rest = self.lines.remove(&(node, is_stdout)).and_then(|mut lines| lines.rest());
                    if let Some(line) = rest {
                        self.say(node, &format!("│ {line}"));
                    }
                }
                match outcome {
                    Outcome::Executed => self.say(node, &format!("executed in {seconds:.2} s")),
                    Outcome::Failed => self.say(node, &format!("failed after {seconds:.2} s")),
                    Outcome::Cutoff => self.say(node, "recalled: its inputs came out as they were"),
                    Outcome::Recalled | Outcome::Skipped => {}
                }
            }
            Event::Again { reason } => {
                print::note(&format!("memobuild: {reason}; building again without it"));
            }
        }
    }
}
