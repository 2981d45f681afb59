//! Parts of a photo that are alike within.

use super::filters::Colour;
use crate::plane::Plane;

/// The segment that each pixel belongs to, numbered from 0, and how many there are.
pub(super) struct Segments {
    pub(super) labels: Vec<u32>,
    pub(super) count: usize,
}

impl Segments {
    /// Mean of a plane over each segment.
    pub(super) fn means(&self, plane: &Plane) -> Vec<f32> {
        let mut sums = vec![(0.0_f32, 0.0_f32); self.count];
        for (label, value) in self.labels.iter().zip(&plane.values) {
            let sum = &mut sums[*label as usize];
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }
}

/// Levels that differences between neighbours are sorted into.
const LEVELS: usize = 1024;

/// Joins neighbouring pixels into segments (Felzenszwalb and Huttenlocher 2004): two parts are joined where the least
/// difference between them is no more than the largest within either plus `scale` over its size; parts of fewer than
/// `smallest` pixels are joined to a neighbour in any case.
pub(super) fn segments(colour: &Colour, scale: f32, smallest: u32) -> Segments {
    let (width, height) = (colour[0].width, colour[0].height);
    let edges = sorted_edges(colour);
    let mut parts = Parts {
        parent: (0..(width * height) as u32).collect(),
        size: vec![1; width * height],
        within: vec![0.0; width * height],
    };
    for &(a, b, difference) in &edges {
        let (a, b) = (parts.root(a), parts.root(b));
        let allows = |part: u32| parts.within[part as usize] + scale / parts.size[part as usize] as f32;
        if a != b && difference <= allows(a).min(allows(b)) {
            parts.join(a, b, difference);
        }
    }
    for &(a, b, difference) in &edges {
        let (a, b) = (parts.root(a), parts.root(b));
        if a != b && parts.size[a as usize].min(parts.size[b as usize]) < smallest {
            parts.join(a, b, difference);
        }
    }
    let mut numbers = vec![u32::MAX; width * height];
    let mut count = 0;
    let labels = (0..(width * height) as u32)
        .map(|pixel| {
            let number = &mut numbers[parts.root(pixel) as usize];
            if *number == u32::MAX {
                *number = count;
                count += 1;
            }
            *number
        })
        .collect();
    Segments {
        labels,
        count: count as usize,
    }
}

/// Neighbours with the distance of their colours, least first: sorted by counting.
fn sorted_edges(colour: &Colour) -> Vec<(u32, u32, f32)> {
    let (width, height) = (colour[0].width, colour[0].height);
    let [red, green, blue] = colour.each_ref().map(|plane| plane.values.as_slice());
    let between = |a: usize, b: usize| {
        let (r, g, l) = (red[a] - red[b], green[a] - green[b], blue[a] - blue[b]);
        (a as u32, b as u32, (r * r + g * g + l * l).sqrt())
    };
    let mut edges = Vec::with_capacity(2 * width * height);
    for y in 0..height {
        let row = y * width;
        edges.extend((row + 1..row + width).map(|at| between(at - 1, at)));
        if y > 0 {
            edges.extend((row..row + width).map(|at| between(at - width, at)));
        }
    }
    let level = |difference: f32| ((difference * LEVELS as f32) as usize).min(LEVELS - 1);
    let mut starts = vec![0_usize; LEVELS + 1];
    for edge in &edges {
        starts[level(edge.2) + 1] += 1;
    }
    for index in 0..LEVELS {
        starts[index + 1] += starts[index];
    }
    let mut sorted = vec![(0, 0, 0.0); edges.len()];
    for edge in edges {
        let place = &mut starts[level(edge.2)];
        sorted[*place] = edge;
        *place += 1;
    }
    sorted
}

struct Parts {
    parent: Vec<u32>,
    size: Vec<u32>,
    /// Largest difference along which a part was joined.
    within: Vec<f32>,
}

impl Parts {
    fn root(&mut self, mut pixel: u32) -> u32 {
        while self.parent[pixel as usize] != pixel {
            let above = self.parent[self.parent[pixel as usize] as usize];
            self.parent[pixel as usize] = above;
            pixel = above;
        }
        pixel
    }

    fn join(&mut self, a: u32, b: u32, difference: f32) {
        let (keep, gone) = if self.size[a as usize] >= self.size[b as usize] {
            (a, b)
        } else {
            (b, a)
        };
        self.parent[gone as usize] = keep;
        self.size[keep as usize] += self.size[gone as usize];
        self.within[keep as usize] = difference
            .max(self.within[keep as usize])
            .max(self.within[gone as usize]);
    }
}
