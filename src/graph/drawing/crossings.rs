//! How many edges cross, between two layers and around two neighbours.

use crate::graph::drawing::skeleton::Skeleton;

/// Of the whole drawing, `place` being each item's place in its layer.
pub(super) fn count(skeleton: &Skeleton, place: &[usize]) -> usize {
    skeleton.layers.windows(2).map(|pair| between(skeleton, &pair[0], pair[1].len(), place)).sum()
}

/// Pairs of edges in opposite order at their two ends, counted with a Fenwick tree.
fn between(skeleton: &Skeleton, left: &[usize], right: usize, place: &[usize]) -> usize {
    let mut tree = vec![0usize; right + 1];
    let (mut crossings, mut seen) = (0, 0);
    let mut ends: Vec<usize> = Vec::new();
    for &item in left {
        ends.clear();
        ends.extend(skeleton.items[item].after.iter().map(|&end| place[end] + 1));
        for &end in &ends {
            let (mut at, mut not_below) = (end, 0);
            while at > 0 {
                not_below += tree[at];
                at &= at - 1;
            }
            crossings += seen - not_below;
        }
        for &end in &ends {
            let mut at = end;
            while at <= right {
                tree[at] += 1;
                at += at & at.wrapping_neg();
            }
        }
        seen += ends.len();
    }
    crossings
}

/// Crossings of the edges of two neighbours on one side, with the one above the other. Both lists ascend.
pub(super) fn of_pair(above: &[usize], below: &[usize]) -> usize {
    let mut crossings = 0;
    let mut passed = 0;
    for &end in above {
        while passed < below.len() && below[passed] < end {
            passed += 1;
        }
        crossings += passed;
    }
    crossings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_neighbours() {
        assert_eq!(of_pair(&[0, 1], &[2, 3]), 0);
        assert_eq!(of_pair(&[2, 3], &[0, 1]), 4);
        assert_eq!(of_pair(&[0, 2], &[0, 1]), 2);
        assert_eq!(of_pair(&[], &[0]), 0);
    }
}
