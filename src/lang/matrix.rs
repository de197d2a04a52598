//! `axis` and `matrix`: a node stands once for each coordinate. Its coordinates are those that it
//! introduces, joined with those of every node that it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::suggest;
use crate::lang::budget;
use crate::lang::code::Code;
use crate::lang::label::{self, Label};
use crate::lang::mistake::{Findings, Mistake, shorten};
use crate::lang::scope::{DeclId, Env, ScopeId, World};
use crate::lang::syntax::{Node, Value};
use crate::lang::table::{Line, Slot};

/// Coordinates of one node: far more than anybody builds.
const MOST: usize = 10_000;

/// A coordinate: a value for each axis.
pub type Coordinate = BTreeMap<String, String>;

#[derive(Debug)]
pub struct Axis<'a> {
    pub node: &'a Node,
    pub values: Vec<&'a str>,
    pub doc: Option<&'a str>,
}

/// A declaration that a body refers to, the axes in which that does not follow it, and the line.
type Referred<'a> = (DeclId, BTreeSet<&'a str>, &'a Node);

/// A declaration whose coordinates depend on those of others.
struct Waiting<'a> {
    id: DeclId,
    /// The first line `matrix`.
    introduced: Option<&'a Node>,
    own: Coordinates,
    referred: Vec<Referred<'a>>,
    /// Of `referred`: what lies before it is known.
    next: usize,
}

/// The coordinates of a node, in the order of the axes' values. Without axes: one that is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coordinates {
    pub axes: BTreeSet<String>,
    pub all: Vec<Coordinate>,
}

impl Coordinates {
    pub fn none() -> Coordinates {
        Coordinates { axes: BTreeSet::new(), all: vec![Coordinate::new()] }
    }

    /// The part of a coordinate that this node has.
    pub fn restrict(&self, coordinate: &Coordinate) -> Coordinate {
        coordinate.iter().filter(|(axis, _)| self.axes.contains(*axis)).map(owned).collect()
    }

    /// Natural join: equal on what both have. `None` when there would be too many.
    fn join(&self, other: &Coordinates) -> Option<Coordinates> {
        let shared: Vec<&String> = self.axes.intersection(&other.axes).collect();
        let part = |coordinate: &Coordinate| -> Vec<String> {
            shared.iter().filter_map(|axis| coordinate.get(*axis).cloned()).collect()
        };
        let mut by_part: BTreeMap<Vec<String>, Vec<&Coordinate>> = BTreeMap::new();
        for coordinate in &other.all {
            by_part.entry(part(coordinate)).or_default().push(coordinate);
        }
        let mut all = Vec::new();
        for coordinate in &self.all {
            for matching in by_part.get(&part(coordinate)).into_iter().flatten() {
                if all.len() == MOST {
                    return None;
                }
                all.push(coordinate.iter().chain(*matching).map(owned).collect());
            }
        }
        Some(Coordinates { axes: self.axes.union(&other.axes).cloned().collect(), all })
    }

    /// The cost of its largest coordinate.
    fn widest(&self) -> usize {
        let cost = |(axis, value): (&String, &String)| budget::COORDINATE + axis.len() + value.len();
        self.all.iter().map(|coordinate| coordinate.iter().map(cost).sum()).max().unwrap_or(0)
    }

    /// Without some of the axes; each coordinate once.
    fn without(&self, axes: &BTreeSet<&str>) -> Coordinates {
        let mut seen = BTreeSet::new();
        let keep = |axis: &String| !axes.contains(axis.as_str());
        let left = self.all.iter().map(|coordinate| -> Coordinate {
            coordinate.iter().filter(|(axis, _)| keep(axis)).map(owned).collect()
        });
        let all = left.filter(|coordinate| seen.insert(coordinate.clone())).collect();
        Coordinates { axes: self.axes.iter().filter(|axis| keep(axis)).cloned().collect(), all }
    }
}

pub fn owned((axis, value): (&String, &String)) -> (String, String) {
    (axis.clone(), value.clone())
}

/// `[python=3.12]`, or nothing.
pub fn suffix(coordinate: &Coordinate) -> String {
    let parts: Vec<String> = coordinate.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
    if parts.is_empty() { String::new() } else { format!("[{}]", parts.join(",")) }
}

impl<'a> World<'a> {
    /// Nodes that need each other in a ring are told elsewhere: here one of them counts as having its own axes only.
    pub fn coordinates(&self, id: DeclId, findings: &mut Findings) -> Rc<Coordinates> {
        // Without recursion: nodes may be chained as long as a file.
        let mut way = Vec::new();
        self.wait_for(id, &mut way, findings);
        while let Some(last) = way.last_mut() {
            if let Some(&(target, ..)) = last.referred.get(last.next) {
                last.next += 1;
                self.wait_for(target, &mut way, findings);
            } else if let Some(waiting) = way.pop() {
                let found = Rc::new(self.joined(&waiting, findings));
                self.coordinates.borrow_mut().insert(waiting.id, found);
            }
        }
        self.known_coordinates(id)
    }

    fn wait_for(&self, id: DeclId, way: &mut Vec<Waiting<'a>>, findings: &mut Findings) {
        if self.coordinates.borrow().contains_key(&id) {
            return;
        }
        let decl = self.decl(id);
        let mut lines = Vec::new();
        self.matrix_lines(decl.line.node, decl.scope, 0, &mut lines);
        let mut own = Coordinates::none();
        for line in &lines {
            let more = self.product(line, findings);
            own = self.join(own, &more, line, findings);
        }
        // What refers to it in a ring has its own axes, at least.
        self.coordinates.borrow_mut().insert(id, Rc::new(own.clone()));
        way.push(Waiting {
            id,
            introduced: lines.first().copied(),
            own,
            referred: self.referred(id),
            next: 0,
        });
    }

    fn known_coordinates(&self, id: DeclId) -> Rc<Coordinates> {
        let known = self.coordinates.borrow().get(&id).cloned();
        known.unwrap_or_else(|| Rc::new(Coordinates::none()))
    }

    fn joined(&self, waiting: &Waiting<'a>, findings: &mut Findings) -> Coordinates {
        let Waiting { id, introduced, own, referred, .. } = waiting;
        let mut introduced = *introduced;
        let mut coordinates = own.clone();
        for (target, apart, line) in referred {
            let mut theirs = self.known_coordinates(*target);
            if !apart.is_empty() {
                theirs = Rc::new(theirs.without(apart));
            }
            coordinates = self.join(coordinates, &theirs, line, findings);
            if let Some(matrix) = introduced.filter(|_| !self.budget.is_spent())
                && let Some(lost) = lost(own, &theirs, &coordinates)
            {
                introduced = None;
                findings.add(self.lost(*id, matrix, &lost, *target, line));
            }
        }
        coordinates
    }

    fn join(
        &self,
        one: Coordinates,
        other: &Coordinates,
        line: &'a Node,
        findings: &mut Findings,
    ) -> Coordinates {
        if other.axes.is_empty() {
            return one;
        }
        let count = one.all.len().saturating_mul(other.all.len()).min(MOST);
        if !self.budget.pay(count.saturating_mul(one.widest() + other.widest())) {
            return Coordinates::none();
        }
        one.join(other).unwrap_or_else(|| too_many(line, findings))
    }

    /// The lines `matrix` of a body, and of the fragments that it uses.
    fn matrix_lines(&self, node: &'a Node, scope: ScopeId, depth: usize, lines: &mut Vec<&'a Node>) {
        for child in node.children() {
            match child.word.as_str() {
                "matrix" => lines.push(child),
                "when" | "unless" => self.matrix_lines(child, scope, depth, lines),
                "use" if depth < 64 => {
                    if let Some(&inner) = self.fragments.get(&(std::ptr::from_ref(child), scope))
                        && let Some(body) = self.scope(inner).body
                    {
                        self.matrix_lines(body, inner, depth + 1, lines);
                    }
                }
                _ => {}
            }
        }
    }

    /// What one line `matrix` introduces. What is wrong with the line is told by its reader.
    fn product(&self, line: &'a Node, findings: &mut Findings) -> Coordinates {
        let mut coordinates = Coordinates::none();
        for entry in line.arguments() {
            let Some(name) = entry.value.text() else { continue };
            let Some(axis) = self.axes.get(name) else {
                let known: Vec<&str> = self.axes.keys().copied().collect();
                let help = match suggest::nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("declare it: axis {} \"one\" \"two\"", shorten(name)),
                };
                let message = format!("there is no axis `{}`", shorten(name));
                findings
                    .add(Mistake::new(Code::AxisUnknown, message, help).at(entry.span.clone(), "not known"));
                continue;
            };
            let values = axis.values.iter();
            let all =
                values.map(|value| Coordinate::from([(name.to_owned(), (*value).to_owned())])).collect();
            let axis = Coordinates { axes: BTreeSet::from([name.to_owned()]), all };
            coordinates = self.join(coordinates, &axis, line, findings);
        }
        self.except(line, &mut coordinates, findings);
        coordinates
    }

    /// `exclude` and `include` of a matrix.
    fn except(&self, line: &'a Node, coordinates: &mut Coordinates, findings: &mut Findings) {
        for child in line.children() {
            // Each looks at all of them.
            if findings.is_full() || !self.budget.pay(budget::NAME * coordinates.all.len()) {
                return;
            }
            let pairs: Coordinate = child
                .properties()
                .filter_map(|(key, entry)| Some((key.text.clone(), written(&entry.value)?)))
                .collect();
            let strangers = pairs.keys().filter(|axis| !coordinates.axes.contains(*axis));
            if let Some(stranger) = strangers.into_iter().next() {
                let message = format!("this matrix has no axis `{}`", shorten(stranger));
                let axes: Vec<&str> = coordinates.axes.iter().map(String::as_str).collect();
                let mistake =
                    Mistake::new(Code::AxisUnknown, message, format!("its axes: {}", axes.join(", ")));
                findings.add(mistake.at(child.line_span(), "not an axis of it"));
                continue;
            }
            match child.word.as_str() {
                "exclude" => {
                    let matches = |coordinate: &Coordinate| {
                        pairs.iter().all(|(axis, value)| coordinate.get(axis) == Some(value))
                    };
                    let before = coordinates.all.len();
                    coordinates.all.retain(|coordinate| !matches(coordinate));
                    if coordinates.all.len() == before {
                        let message = "this excludes nothing";
                        let help = "correct its values, or remove the line";
                        let mistake = Mistake::new(Code::AxisValue, message, help);
                        findings.add(mistake.at(child.line_span(), "no coordinate is like this"));
                    }
                }
                "include" if pairs.len() < coordinates.axes.len() => {
                    let message = "an included coordinate has a value for each axis of the matrix";
                    let axes: Vec<String> =
                        coordinates.axes.iter().map(|axis| format!("{axis}=\"…\"")).collect();
                    let mistake =
                        Mistake::new(Code::AxisValue, message, format!("include {}", axes.join(" ")));
                    findings.add(mistake.at(child.line_span(), "some are missing"));
                }
                "include" if coordinates.all.contains(&pairs) => {}
                "include" if coordinates.all.len() < MOST => coordinates.all.push(pairs),
                "include" => *coordinates = too_many(line, findings),
                _ => {}
            }
        }
    }

    /// A node that says which coordinates it has must have them all.
    fn lost(&self, id: DeclId, introduced: &Node, lost: &Coordinate, target: DeclId, line: &Node) -> Mistake {
        let (name, target) = (&self.decl(id).label, &self.decl(target).label);
        let message = format!("`{name}` stands at {}, and `{target}`, which it needs, doesn't", suffix(lost));
        let help = "exclude that coordinate here, or pick another one of the node: { pick AXIS=\"VALUE\"; }";
        let mistake = Mistake::new(Code::AxisValue, message, help);
        mistake.at(introduced.line_span(), "introduced here").at(line.line_span(), "needed here")
    }

    /// The declarations that a body refers to, with the axes in which it doesn't follow them.
    fn referred(&self, id: DeclId) -> Vec<Referred<'a>> {
        let decl = self.decl(id);
        let mut found = Vec::new();
        self.references(decl.line.node, decl.declaration.line, decl.scope, 0, &mut found);
        found
    }

    fn references(
        &self,
        node: &'a Node,
        line: &'static Line,
        scope: ScopeId,
        depth: usize,
        found: &mut Vec<Referred<'a>>,
    ) {
        for child in node.children() {
            match child.word.as_str() {
                "when" | "unless" => self.references(child, line, scope, depth, found),
                "use" if depth < 64 => {
                    if let Some(&inner) = self.fragments.get(&(std::ptr::from_ref(child), scope))
                        && let Some(body) = self.scope(inner).body
                    {
                        self.references(body, line, inner, depth + 1, found);
                    }
                }
                word => {
                    let Some(slot) = line.slot(word) else { continue };
                    let apart: BTreeSet<&str> = child.children().iter().flat_map(set_apart).collect();
                    for label in labels(child, slot) {
                        let targets = self.declarations(&label, scope);
                        found.extend(targets.into_iter().map(|target| (target, apart.clone(), child)));
                    }
                    self.references(child, slot, scope, depth, found);
                }
            }
        }
    }

    /// Which declarations a label may mean, whatever the platform.
    fn declarations(&self, label: &Label, scope: ScopeId) -> Vec<DeclId> {
        let env = Env { is_dead: true, ..self.env(scope) };
        self.meant(label, env).map_or_else(|_| Vec::new(), |meant| meant.declarations())
    }
}

/// Axes that the children `pick` and `each` of a reference name.
fn set_apart(child: &Node) -> Vec<&str> {
    match child.word.as_str() {
        "pick" => child.properties().map(|(key, _)| key.text.as_str()).collect(),
        "each" => child.arguments().filter_map(|entry| entry.value.text()).collect(),
        _ => Vec::new(),
    }
}

/// The references of one line, as far as they can be read.
fn labels(node: &Node, line: &Line) -> Vec<Label> {
    let mut labels = Vec::new();
    let mut arguments = node.arguments();
    for argument in line.arguments {
        let is_reference = matches!(argument.slot, Slot::Reference(_));
        let taken = if argument.count.is_several() { usize::MAX } else { 1 };
        for entry in arguments.by_ref().take(taken) {
            labels.extend(entry.value.text().filter(|_| is_reference).and_then(label::parse));
        }
    }
    for (key, entry) in node.properties() {
        if let Some(property) = line.property(&key.text)
            && matches!(property.slot, Slot::Reference(_))
        {
            labels.extend(entry.value.text().and_then(label::parse));
        }
    }
    labels
}

/// A value as a coordinate has it.
pub fn written(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The first of a node's own coordinates that joining with those of another has left out.
fn lost(own: &Coordinates, theirs: &Coordinates, joined: &Coordinates) -> Option<Coordinate> {
    if own.axes.is_disjoint(&theirs.axes) {
        return None;
    }
    let left: BTreeSet<Coordinate> = joined.all.iter().map(|coordinate| own.restrict(coordinate)).collect();
    own.all.iter().find(|coordinate| !left.contains(*coordinate)).cloned()
}

fn too_many(line: &Node, findings: &mut Findings) -> Coordinates {
    let message = format!("the axes of this node make more than {MOST} coordinates");
    let help = "exclude some of them, or give the node fewer axes";
    findings.add(Mistake::new(Code::GraphSize, message, help).at(line.line_span(), "too many"));
    Coordinates::none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinates(axis: &str, values: &[&str]) -> Coordinates {
        let all = values.iter().map(|value| Coordinate::from([(axis.into(), (*value).into())])).collect();
        Coordinates { axes: BTreeSet::from([axis.to_owned()]), all }
    }

    fn shown(coordinates: &Coordinates) -> String {
        coordinates.all.iter().map(suffix).collect()
    }

    #[test]
    fn joins_on_what_both_have() {
        let a = coordinates("a", &["1", "2"]);
        let b = coordinates("b", &["x", "y"]);
        let both = a.join(&b).unwrap();
        assert_eq!(shown(&both), "[a=1,b=x][a=1,b=y][a=2,b=x][a=2,b=y]");
        assert_eq!(shown(&both.join(&coordinates("a", &["2", "3"])).unwrap()), "[a=2,b=x][a=2,b=y]");
        assert_eq!(shown(&both.without(&BTreeSet::from(["a"]))), "[b=x][b=y]");
        assert_eq!(a.join(&Coordinates::none()).unwrap(), a);
        assert_eq!(Coordinates::none().join(&a).unwrap(), a);
    }

    #[test]
    fn a_product_is_bounded() {
        let values: Vec<String> = (0..101).map(|value| value.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        assert!(coordinates("a", &values).join(&coordinates("b", &values)).is_none());
    }
}
