//! Places for steps and arrows: a layer for each level, arrows bent around what stands between, blocks within blocks.

use crate::workflow::definition::{Block, Step};
use crate::workflow::explain::{Reason, reasons};
use crate::workflow::picture::lines;
use crate::workflow::plan::levels_of;

/// The height of a step that holds no others, and of the title of one that does.
pub(super) const HEIGHT: f64 = 44.0;
/// The height of a part's name.
pub(super) const LABEL: f64 = 18.0;
/// How wide a letter is.
const LETTER: f64 = 7.3;
const MARGIN: f64 = 12.0;
const GAP_ACROSS: f64 = 20.0;
const GAP_DOWN: f64 = 34.0;
/// How wide the way of an arrow is through a layer.
const WAY: f64 = 12.0;
/// How often layers are put into a better order.
const SWEEPS: usize = 6;

/// A block with everything in its place, seen from its upper left corner.
pub(super) struct Laid<'a> {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) boxes: Vec<Placed<'a>>,
    pub(super) arrows: Vec<Arrow>,
}

/// A step in its place, with the parts that it holds.
pub(super) struct Placed<'a> {
    pub(super) step: &'a Step,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// The name and the place, seen from the step, of each block in it.
    pub(super) parts: Vec<(&'a str, f64, f64, Laid<'a>)>,
}

/// One step waits for another.
pub(super) struct Arrow {
    /// From the one that is waited for to the one that waits.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether data travels along it.
    pub(super) carries_data: bool,
}

/// Something that takes room in a layer: a step, or a bend of an arrow.
struct Item {
    level: usize,
    width: f64,
    height: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Lays a block out.
pub(super) fn lay(block: &Block) -> Laid<'_> {
    let levels = levels_of(block);
    let mut boxes: Vec<Placed<'_>> = block.steps.iter().map(measure).collect();
    let mut items: Vec<Item> =
        boxes.iter().zip(&levels).map(|(one, &level)| item(level, one.width, one.height)).collect();
    let mut ways: Vec<(Vec<usize>, bool)> = Vec::new();
    for (place, step) in block.steps.iter().enumerate() {
        for (&earlier, (_, reason)) in step.waits.iter().zip(reasons(block, step)) {
            let mut way = vec![earlier];
            for level in levels[earlier] + 1..levels[place] {
                items.push(item(level, WAY, 0.0));
                way.push(items.len() - 1);
            }
            way.push(place);
            for pair in way.windows(2) {
                items[pair[0]].below.push(pair[1]);
                items[pair[1]].above.push(pair[0]);
            }
            ways.push((way, reason == Reason::Reads));
        }
    }
    let layers = ordered(&items);
    let tallest: Vec<f64> =
        layers.iter().map(|layer| layer.iter().map(|&place| items[place].height).fold(0.0, f64::max)).collect();
    let (width, height, corners) = placed(&items, &layers, &tallest);
    for (one, corner) in boxes.iter_mut().zip(&corners) {
        (one.x, one.y) = *corner;
    }
    let arrows = ways.iter().map(|(way, carries_data)| arrow(way, *carries_data, &items, &corners, &tallest)).collect();
    Laid { width, height, boxes, arrows }
}

fn item(level: usize, width: f64, height: f64) -> Item {
    Item { level, width, height, above: Vec::new(), below: Vec::new() }
}

/// A step with its size, and everything in it laid out.
fn measure(step: &Step) -> Placed<'_> {
    let letters = lines(step).iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let mut width = (f64::from(u16::try_from(letters).unwrap_or(u16::MAX))).mul_add(LETTER, 2.0 * MARGIN);
    let mut height = HEIGHT;
    let mut parts = Vec::new();
    let mut x = MARGIN;
    for (name, block) in step.blocks() {
        let laid = lay(block);
        let label = f64::from(u16::try_from(name.chars().count()).unwrap_or(u16::MAX)) * LETTER;
        let across = laid.width.max(label);
        height = height.max(HEIGHT + LABEL + laid.height + MARGIN);
        let inset = (across - laid.width) / 2.0;
        parts.push((name, x + inset, HEIGHT + LABEL, laid));
        x += across + GAP_ACROSS;
    }
    if !parts.is_empty() {
        width = width.max(x - GAP_ACROSS + MARGIN);
    }
    Placed { step, x: 0.0, y: 0.0, width, height, parts }
}

/// The items of each layer from left to right, so that arrows cross seldom: each item moves towards the middle of those that
/// it is connected with, in the layers above and below by turns.
fn ordered(items: &[Item]) -> Vec<Vec<usize>> {
    let depth = items.iter().map(|item| item.level + 1).max().unwrap_or(0);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (place, item) in items.iter().enumerate() {
        layers[item.level].push(place);
    }
    let mut ranks = vec![0.0_f64; items.len()];
    let rank = |layer: &[usize], ranks: &mut Vec<f64>| {
        for (order, &place) in layer.iter().enumerate() {
            ranks[place] = f64::from(u32::try_from(order).unwrap_or(u32::MAX)) - count(layer) / 2.0;
        }
    };
    for layer in &layers {
        rank(layer, &mut ranks);
    }
    for sweep in 0..SWEEPS {
        let goes_down = sweep % 2 == 0;
        let order: Vec<usize> = if goes_down { (0..depth).collect() } else { (0..depth).rev().collect() };
        for level in order {
            let wish = |place: &usize| {
                let neighbours = if goes_down { &items[*place].above } else { &items[*place].below };
                if neighbours.is_empty() {
                    return ranks[*place];
                }
                neighbours.iter().map(|&other| ranks[other]).sum::<f64>() / count(neighbours)
            };
            let mut wished: Vec<(f64, usize)> = layers[level].iter().map(|place| (wish(place), *place)).collect();
            wished.sort_by(|a, b| a.0.total_cmp(&b.0));
            layers[level] = wished.into_iter().map(|(_, place)| place).collect();
            rank(&layers[level], &mut ranks);
        }
    }
    layers
}

fn count<T>(list: &[T]) -> f64 {
    f64::from(u32::try_from(list.len()).unwrap_or(u32::MAX))
}

/// The size of the whole and the upper left corner of each item: layers below each other, each in the middle.
fn placed(items: &[Item], layers: &[Vec<usize>], tallest: &[f64]) -> (f64, f64, Vec<(f64, f64)>) {
    let across = |layer: &Vec<usize>| {
        layer.iter().map(|&place| items[place].width).sum::<f64>() + GAP_ACROSS * (count(layer) - 1.0).max(0.0)
    };
    let width = layers.iter().map(across).fold(0.0, f64::max);
    let mut corners = vec![(0.0, 0.0); items.len()];
    let mut y = 0.0;
    for (layer, tallest) in layers.iter().zip(tallest) {
        let mut x = (width - across(layer)) / 2.0;
        for &place in layer {
            corners[place] = (x, y);
            x += items[place].width + GAP_ACROSS;
        }
        y += tallest + GAP_DOWN;
    }
    (width, (y - GAP_DOWN).max(0.0), corners)
}

/// From the lower edge of the first through its bends to the upper edge of the last.
fn arrow(way: &[usize], carries_data: bool, items: &[Item], corners: &[(f64, f64)], tallest: &[f64]) -> Arrow {
    let middle = |place: usize| corners[place].0 + items[place].width / 2.0;
    let mut points = Vec::new();
    for (position, &place) in way.iter().enumerate() {
        let (top, is_last) = (corners[place].1, position + 1 == way.len());
        if position == 0 {
            points.push((middle(place), top + items[place].height));
        } else if is_last {
            points.push((middle(place), top));
        } else {
            // A bend runs straight down through its layer.
            points.push((middle(place), top));
            points.push((middle(place), top + tallest[items[place].level]));
        }
    }
    Arrow { points, carries_data }
}
