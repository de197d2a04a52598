//! The view on a terminal: a line for each running node with its elapsed time and last log line,
//! and above them a line for each that ended.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::progress::Lines;
use crate::engine::event::{Event, Watcher};
use crate::engine::report::Outcome;
use crate::graph::graph::{Graph, NodeId};

pub(super) struct Live<'g> {
    graph: &'g Graph,
    view: MultiProgress,
    running: HashMap<NodeId, (ProgressBar, Lines)>,
    width: usize,
}

impl<'g> Live<'g> {
    pub(super) fn new(graph: &'g Graph) -> Live<'g> {
        let width = graph.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0).min(32);
        Live { graph, view: MultiProgress::new(), running: HashMap::new(), width }
    }

    fn start(&mut self, node: NodeId) {
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed:>4} {wide_msg:.dim}")
            .expect("bug: the template is fixed");
        let bar = self.view.add(ProgressBar::new_spinner().with_style(style));
        bar.set_prefix(self.name(node));
        bar.enable_steady_tick(Duration::from_millis(100));
        self.running.insert(node, (bar, Lines::default()));
    }

    fn name(&self, node: NodeId) -> String {
        format!("{:<width$}", self.graph.node(node).name, width = self.width)
    }

    fn say(&self, text: &str) {
        // The terminal went away: nobody to tell.
        let _ = self.view.println(text);
    }
}

impl Watcher for Live<'_> {
    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Started { node } => self.start(node),
            Event::Output { node, bytes, .. } => {
                if let Some((bar, lines)) = self.running.get_mut(&node)
                    && let Some(last) = lines.add(bytes).pop()
                {
                    bar.set_message(last);
                }
            }
            Event::Settled { node, outcome, seconds } => {
                if let Some((bar, _)) = self.running.remove(&node) {
                    bar.finish_and_clear();
                }
                let name = self.name(node);
                match outcome {
                    Outcome::Executed => self.say(&format!("✓ {name} {seconds:.1}s")),
                    Outcome::Failed => self.say(&format!("✗ {name} {seconds:.1}s")),
                    Outcome::Cutoff => self.say(&format!("= {name} its inputs came out as they were")),
                    Outcome::Recalled | Outcome::Skipped => {}
                }
            }
            Event::Again { reason } => self.say(&format!("! {reason}; building again without it")),
        }
    }
}
