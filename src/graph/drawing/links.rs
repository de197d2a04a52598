//! Which node needs which, each pair once. Everything else in `drawing` works on this alone.

use std::collections::HashSet;

use crate::graph::graph::Graph;

/// By node: what it needs, in the order of its slots, and what needs it, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) before: Vec<Vec<usize>>,
    pub(super) after: Vec<Vec<usize>>,
}

impl Links {
    pub(super) fn of(graph: &Graph) -> Links {
        let count = graph.nodes.len();
        let mut links = Links { before: vec![Vec::new(); count], after: vec![Vec::new(); count] };
        for (node, declared) in graph.nodes.iter().enumerate() {
            let mut seen = HashSet::new();
            for source in declared.inputs.iter().map(|input| input.source.node.0) {
                if seen.insert(source) {
                    links.before[node].push(source);
                    links.after[source].push(node);
                }
            }
        }
        links
    }

    /// Every node comes after all that it needs.
    pub(super) fn inputs_first(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..missing.len()).filter(|&node| missing[node] == 0).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &above in &self.after[node] {
                missing[above] -= 1;
                if missing[above] == 0 {
                    order.push(above);
                }
            }
        }
        order
    }

    /// Nodes that hang together, each group in ascending order, groups by their first node.
    pub(super) fn components(&self) -> Vec<Vec<usize>> {
        let mut seen = vec![false; self.before.len()];
        let mut components = Vec::new();
        for start in 0..seen.len() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut component = vec![start];
            let mut next = 0;
            while let Some(&node) = component.get(next) {
                next += 1;
                for &other in self.before[node].iter().chain(&self.after[node]) {
                    if !std::mem::replace(&mut seen[other], true) {
                        component.push(other);
                    }
                }
            }
            component.sort_unstable();
            components.push(component);
        }
        components
    }
}
