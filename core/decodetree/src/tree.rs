//! The decision tree: each node looks at a few neighbouring bits and leads to a node or to a short
//! list of candidate rows, most specific first.
//!
//! The tree is data, not nested code: a node is a slice of [`Tree::nodes`], an entry of it is one
//! word, and a lookup is one load a level. That compiles fast, keeps the decoder small in the host's
//! instruction cache and has no hard-to-predict branches but the last.

use crate::Row;

/// Flag of an entry that is a leaf: `start << LEN_BITS | len` into [`Tree::leaves`] below it.
pub(crate) const LEAF: u32 = 1 << 31;
pub(crate) const LEN_BITS: u32 = 4;
/// An entry that is a node: bit 0 to 4 the lowest bit looked at, 5 to 8 how many, 9 up its place.
pub(crate) const WIDTH_AT: u32 = 5;
pub(crate) const BASE_AT: u32 = 9;
/// The widest node; 2^WIDEST entries.
const WIDEST: u32 = 10;

/// The tree of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub root: u32,
    pub nodes: Vec<u32>,
    pub leaves: Vec<u16>,
}

impl Tree {
    /// The rows that may match a word, most specific first.
    pub(crate) fn candidates(&self, insn: u32) -> &[u16] {
        let mut at = self.root;
        while at & LEAF == 0 {
            let width = at >> WIDTH_AT & 15;
            at = self.nodes[((at >> BASE_AT) + (insn >> (at & 31) & ((1 << width) - 1))) as usize];
        }
        let start = ((at & !LEAF) >> LEN_BITS) as usize;
        &self.leaves[start..start + (at & ((1 << LEN_BITS) - 1)) as usize]
    }
}

pub(crate) fn build(rows: &[Row]) -> Tree {
    assert!(rows.len() <= usize::from(u16::MAX), "a table has at most 65535 rows");
    let mut tree = Tree::default();
    let all: Vec<u16> = (0..rows.len() as u16).collect();
    tree.root = node(rows, &all, 0, &mut tree);
    tree
}

fn leaf(rows: &[Row], list: &[u16], tree: &mut Tree) -> u32 {
    let mut list = list.to_vec();
    list.sort_by_key(|&r| std::cmp::Reverse(rows[usize::from(r)].mask.count_ones()));
    let len = list.len() as u32;
    // The same short list is a leaf of many nodes; rows beyond LEN_BITS would need a deeper tree.
    let start = match tree.leaves.windows(list.len().max(1)).position(|w| !list.is_empty() && w == list) {
        Some(at) => at as u32,
        None => {
            tree.leaves.extend_from_slice(&list);
            tree.leaves.len() as u32 - len
        }
    };
    LEAF | start << LEN_BITS | len
}

fn node(rows: &[Row], list: &[u16], known: u32, tree: &mut Tree) -> u32 {
    // Two candidates are told apart by their own compare as fast as by a node.
    if list.len() <= 2 {
        return leaf(rows, list, tree);
    }
    let Some((low, width)) = best_window(rows, list, known) else {
        assert!(list.len() < 1 << LEN_BITS, "rows {list:?} cannot be told apart by any bit");
        return leaf(rows, list, tree);
    };
    let base = tree.nodes.len();
    tree.nodes.resize(base + (1 << width), 0);
    let window = ((1u32 << width) - 1) << low;
    let mut made: std::collections::HashMap<Vec<u16>, u32> = std::collections::HashMap::new();
    for value in 0..1u32 << width {
        let sub: Vec<u16> = list
            .iter()
            .copied()
            .filter(|&r| {
                let r = &rows[usize::from(r)];
                (value << low ^ r.bits) & r.mask & window == 0
            })
            .collect();
        // Values that leave the same rows share a node only if those rows ignore the window, in
        // which case nothing is lost by knowing the window.
        let entry = match made.get(&sub) {
            Some(&e) => e,
            None => {
                let e = node(rows, &sub, known | window, tree);
                made.insert(sub, e);
                e
            }
        };
        tree.nodes[base + value as usize] = entry;
    }
    low | width << WIDTH_AT | (base as u32) << BASE_AT
}

/// The neighbouring bits that leave the fewest rows, weighed against the size of the node.
fn best_window(rows: &[Row], list: &[u16], known: u32) -> Option<(u32, u32)> {
    let limit = (usize::BITS - list.len().leading_zeros() + 1).min(WIDEST);
    let mut best: Option<(f64, u32, u32)> = None;
    for width in 1..=limit {
        if width > 3 && width + 3 < limit {
            continue;
        }
        for low in 0..=32 - width {
            let window = ((1u32 << width) - 1) << low;
            // Known bits at the edge only enlarge the node.
            if known & (1 << low) != 0 || known >> (low + width - 1) & 1 != 0 {
                continue;
            }
            if !list.iter().any(|&r| rows[usize::from(r)].mask & window & !known != 0) {
                continue;
            }
            let mut sizes = vec![0u32; 1 << width];
            for &r in list {
                let r = &rows[usize::from(r)];
                let free = !(r.mask >> low) & ((1 << width) - 1);
                let fixed = r.bits >> low & ((1 << width) - 1);
                // Every value of the bits that the row leaves free.
                let mut sub = free;
                loop {
                    sizes[(fixed | sub) as usize] += 1;
                    if sub == 0 {
                        break;
                    }
                    sub = (sub - 1) & free;
                }
            }
            if sizes.iter().all(|&s| s as usize == list.len()) {
                continue;
            }
            let total: f64 = sizes.iter().map(|&s| f64::from(s) * f64::from(s + 1).log2()).sum();
            let score = total / f64::from(1u32 << width) + 0.2 * f64::from(width);
            if best.is_none_or(|(b, _, _)| score < b) {
                best = Some((score, low, width));
            }
        }
    }
    best.map(|(_, low, width)| (low, width))
}

/// All pairs of rows that some word may match both of, exclusions aside, in order.
pub(crate) fn overlapping_pairs(rows: &[Row]) -> Vec<(usize, usize)> {
    let mut pairs = std::collections::BTreeSet::new();
    let all: Vec<usize> = (0..rows.len()).collect();
    split(rows, &all, 0, &mut pairs);
    pairs.into_iter().collect()
}

/// Divides the rows by one bit after another until few are left, so as not to compare all pairs.
fn split(rows: &[Row], list: &[usize], known: u32, pairs: &mut std::collections::BTreeSet<(usize, usize)>) {
    let mut best: Option<(usize, u32)> = None;
    if list.len() > 4 {
        for bit in (0..32).filter(|b| known >> b & 1 == 0) {
            let ones = list.iter().filter(|&&r| (rows[r].mask & rows[r].bits) >> bit & 1 != 0).count();
            let zeros = list.iter().filter(|&&r| (rows[r].mask & !rows[r].bits) >> bit & 1 != 0).count();
            let largest = list.len() - ones.min(zeros);
            if ones != 0 && zeros != 0 && best.is_none_or(|(b, _)| largest < b) {
                best = Some((largest, bit));
            }
        }
    }
    let Some((_, bit)) = best else {
        for (n, &i) in list.iter().enumerate() {
            for &j in &list[n + 1..] {
                if (rows[i].bits ^ rows[j].bits) & rows[i].mask & rows[j].mask == 0 {
                    pairs.insert((i.min(j), i.max(j)));
                }
            }
        }
        return;
    };
    for value in [0, 1] {
        let half: Vec<usize> = list.iter().copied().filter(|&r| rows[r].mask >> bit & 1 == 0 || rows[r].bits >> bit & 1 == value).collect();
        split(rows, &half, known | 1 << bit, pairs);
    }
}
