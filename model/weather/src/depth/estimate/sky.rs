//! Which part of a photo is sky.

use super::columns::{above_edges, edges};
use super::filters::{Colour, box_min};
use super::likeness::Likeness;
use super::segments::Segments;
use crate::plane::Plane;

/// What lies behind everything else, at working size, 0 to 1.
pub(super) enum Behind {
    Sky(Plane),
    /// No sky, and smooth beside the rest: the blurred background of a close-up.
    Backdrop(Plane),
    Nothing,
}

/// What lies behind everything else.
pub(super) fn behind(colour: &Colour, segments: &Segments) -> Behind {
    if colour[0].width < 8 || colour[0].height < 8 {
        return Behind::Nothing;
    }
    let edges = edges(colour);
    // The least around a pixel, so that a smooth sky stays smooth up to its border.
    let mut roughness = box_min(&edges, 1);
    for rough in &mut roughness.values {
        *rough = (*rough / 150.0).min(0.5);
    }
    let picture = Picture {
        colour,
        segments,
        likeness: Likeness::new(colour, &roughness, segments),
        edges: &edges,
    };
    let mut backdrop = None;
    if let Some(seeds) = above_edges(colour, &edges) {
        let found = picture.grown(&seeds);
        let traits = picture.traits(&found);
        if traits.score() > 0.0 {
            return Behind::Sky(picture.with_clouds(found));
        }
        backdrop = traits.may_be_backdrop().then_some(found);
    }
    let found = picture.grown(&picture.of_sky_colour());
    // The second guess has fewer reasons to be sky than the first, and must look the more like it.
    let traits = picture.traits(&found);
    if traits.score() > 1.0 && traits.broken < 5.0 {
        return Behind::Sky(picture.with_clouds(found));
    }
    backdrop.map_or(Behind::Nothing, Behind::Backdrop)
}

/// What decisions about the sky are made from.
struct Picture<'a> {
    colour: &'a Colour,
    segments: &'a Segments,
    likeness: Likeness<'a>,
    /// [`edges`].
    edges: &'a Plane,
}

impl Picture<'_> {
    /// The sky that grows from pixels that are likely to be sky.
    fn grown(&self, seeds: &Plane) -> Plane {
        let share = self.likeness.refined(&self.likeness.refined(seeds));
        let mut share = self.in_one(share, seeds);
        share
            .values
            .iter_mut()
            .for_each(|share| *share = (3.0 * *share - 1.0).clamp(0.0, 1.0));
        share
    }

    /// 1 in segments that are blue, or bright and grey, and smooth: the sky behind branches, or under an arch.
    fn of_sky_colour(&self) -> Plane {
        let (width, height) = (self.edges.width, self.edges.height);
        let [red, green, blue] = self.colour.each_ref().map(|plane| self.segments.means(plane));
        let labels = &self.segments.labels;
        let mut inner = vec![(0.0_f32, 0.0_f32); self.segments.count];
        for y in 1..height - 1 {
            for at in y * width + 1..(y + 1) * width - 1 {
                let label = labels[at];
                if [at - 1, at + 1, at - width, at + width]
                    .iter()
                    .all(|other| labels[*other] == label)
                {
                    let sums = &mut inner[label as usize];
                    *sums = (sums.0 + self.edges.values[at], sums.1 + 1.0);
                }
            }
        }
        let mut greens = self.colour[1].values.clone();
        let place = greens.len() * 19 / 20;
        let white = *greens.select_nth_unstable_by(place, f32::total_cmp).1;
        let mut at_bottom = vec![false; self.segments.count];
        for label in &labels[(height - 1) * width..] {
            at_bottom[*label as usize] = true;
        }
        let is_sky = |s: usize| {
            let (r, g, b) = (red[s], green[s], blue[s]);
            let is_blue = b > r + 0.06 && b > g + 0.01 && b > 0.2;
            let is_bright = g > 0.75 * white && r - b < 0.06 && g - b < 0.03;
            (is_blue || (is_bright && !at_bottom[s])) && inner[s].1 > 4.0 && inner[s].0 < 50.0 * inner[s].1
        };
        let is_sky: Vec<f32> = (0..self.segments.count)
            .map(|s| f32::from(u8::from(is_sky(s))))
            .collect();
        Plane {
            values: labels.iter().map(|label| is_sky[*label as usize]).collect(),
            ..*self.edges
        }
    }

    /// Keeps the sky that its seeds lie in and what is seen of it through holes above its lowest row.
    fn in_one(&self, mut share: Plane, seeds: &Plane) -> Plane {
        let width = share.width;
        let of_segment = self.segments.means(&share);
        let is_sky: Vec<bool> = share.values.iter().map(|share| *share > 0.5).collect();
        let skies: Vec<Vec<usize>> = groups(&is_sky, width)
            .into_iter()
            .filter(|group| is_sky[group[0]])
            .collect();
        let is_main = |group: &[usize]| mean(group, |at| seeds.values[at]) > 0.3;
        let main: Vec<usize> = skies.iter().filter(|group| is_main(group)).flatten().copied().collect();
        let Some(lowest) = main.iter().max().map(|at| at / width) else {
            return Plane::filled(width, share.height, 0.0);
        };
        for group in skies.iter().filter(|group| !is_main(group)) {
            let is_low = group.iter().any(|at| at / width > lowest);
            if is_low || mean(group, |at| of_segment[self.segments.labels[at] as usize]) < 0.4 {
                for at in group {
                    share.values[*at] = 0.0;
                }
            }
        }
        share
    }

    /// Adds what is pale, about as bright as the sky or brighter, and mostly surrounded by it.
    fn with_clouds(&self, mut share: Plane) -> Plane {
        let (width, height) = (share.width, share.height);
        let sky: Vec<usize> = (0..width * height).filter(|at| share.values[*at] > 0.5).collect();
        let light = mean(&sky, |at| self.luma(at));
        let is_only_sky = share.row(height - 1).iter().sum::<f32>() > 0.25 * width as f32;
        let is_cloud: Vec<bool> = (0..width * height)
            .map(|at| {
                let [red, green, blue] = self.colour.each_ref().map(|plane| plane.values[at]);
                let is_pale = red.max(green) - blue < 0.1;
                share.values[at] <= 0.5 && is_pale && self.luma(at) > light - 0.12
            })
            .collect();
        for group in groups(&is_cloud, width).iter().filter(|group| is_cloud[group[0]]) {
            if !is_only_sky && group.iter().any(|at| at / width + 1 == height) {
                continue;
            }
            let (mut sky, mut other) = (0, 0);
            let around = group.iter().flat_map(|at| neighbours(*at, width, height));
            for near in around.filter(|near| !is_cloud[*near]) {
                if share.values[near] > 0.5 {
                    sky += 1;
                } else {
                    other += 1;
                }
            }
            if sky > 3 * other {
                for at in group {
                    share.values[*at] = 1.0;
                }
            }
        }
        share
    }

    fn luma(&self, at: usize) -> f32 {
        luma(self.colour.each_ref().map(|plane| plane.values[at]))
    }

    /// What tells a sky from other smooth parts of a photo.
    fn traits(&self, share: &Plane) -> Traits {
        let (width, height) = (share.width, share.height);
        let with = |is: &dyn Fn(f32) -> bool| Plane {
            values: share
                .values
                .iter()
                .map(|share| f32::from(u8::from(is(*share))))
                .collect(),
            ..*share
        };
        let (inside, outside) = (with(&|share| share > 0.5), with(&|share| share <= 0.5));
        let mean = |plane: &Plane, part: &Plane| {
            let sum: f32 = plane
                .values
                .iter()
                .zip(&part.values)
                .map(|(value, share)| value * share)
                .sum();
            sum / part.values.iter().sum::<f32>().max(1.0)
        };
        let of = |part: &Plane| self.colour.each_ref().map(|plane| mean(plane, part));
        let ([red, green, blue], rest) = (of(&inside), of(&outside));
        let changes = inside.values[width..]
            .iter()
            .zip(&inside.values)
            .filter(|(a, b)| (**a > 0.5) != (**b > 0.5))
            .count();
        let area = inside.mean();
        Traits {
            area,
            blue_over_red: blue - red,
            blue_over_green: blue - green,
            brighter: libm::logf((luma([red, green, blue]) + 0.02) / (luma(rest) + 0.02)),
            top: inside.row(0).iter().sum::<f32>() / width as f32,
            bottom: inside.row(height - 1).iter().sum::<f32>() / width as f32,
            rough: mean(self.edges, &box_min(&inside, 2)),
            rough_rest: mean(self.edges, &outside),
            unsure: with(&|share| share > 0.1 && share < 0.9).mean() / area.max(1e-6),
            broken: changes as f32 / inside.row(0).iter().sum::<f32>().max(1.0),
        }
    }
}

fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.3 * red + 0.59 * green + 0.11 * blue
}

fn mean(group: &[usize], of: impl Fn(usize) -> f32) -> f32 {
    group.iter().map(|at| of(*at)).sum::<f32>() / group.len().max(1) as f32
}

/// The pixels beside, above and below a pixel.
fn neighbours(at: usize, width: usize, height: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (at % width, at / width);
    let others = [
        (x > 0).then(|| at - 1),
        (x + 1 < width).then_some(at + 1),
        (y > 0).then(|| at - width),
        (y + 1 < height).then_some(at + width),
    ];
    others.into_iter().flatten()
}

/// Groups of neighbouring pixels that are alike.
fn groups(alike: &[bool], width: usize) -> Vec<Vec<usize>> {
    let mut is_taken = vec![false; alike.len()];
    let mut groups = Vec::new();
    for start in 0..alike.len() {
        if is_taken[start] {
            continue;
        }
        is_taken[start] = true;
        let mut group = vec![start];
        let mut next = 0;
        while let Some(&at) = group.get(next) {
            next += 1;
            for other in neighbours(at, width, alike.len() / width) {
                if !is_taken[other] && alike[other] == alike[start] {
                    is_taken[other] = true;
                    group.push(other);
                }
            }
        }
        groups.push(group);
    }
    groups
}

/// What tells a sky from other smooth parts of a photo.
#[derive(Debug)]
struct Traits {
    /// Share of the photo.
    area: f32,
    blue_over_red: f32,
    blue_over_green: f32,
    /// Natural logarithm of its luma over that of the rest.
    brighter: f32,
    /// Share of the top row.
    top: f32,
    /// Share of the bottom row.
    bottom: f32,
    /// Mean of [`edges`] inside it, away from its border.
    rough: f32,
    /// Mean of [`edges`] in the rest.
    rough_rest: f32,
    /// Area that is neither sky nor not, over its own.
    unsure: f32,
    /// How often it begins and ends from top to bottom, per column at whose top it is.
    broken: f32,
}

impl Traits {
    /// How much it looks like a sky; more than 0 where it rather is one. Logistic regression on 127 photos, reduced to 160
    /// pixels, of which 64 show a sky: a white wall, open sea and blue blurred water pass for one, a fiery sunset doesn't.
    fn score(&self) -> f32 {
        if self.area < 0.01 || self.top < 0.1 {
            return f32::NEG_INFINITY;
        }
        let blue = self.blue_over_red.clamp(-0.1, 0.2);
        1.57 + 4.4 * blue + 10.4 * self.blue_over_green.clamp(-0.1, 0.1) + 1.6 * self.brighter.min(0.8)
            - (1.95 - 9.75 * blue).max(0.0) * self.bottom
            - 0.0147 * self.rough
            - 2.0 * self.unsure.min(1.0)
            - 0.38 * self.broken.min(6.0)
    }

    /// Whether it is out of focus behind a subject that is in focus.
    fn may_be_backdrop(&self) -> bool {
        self.area > 0.15
            && self.area < 0.93
            && self.broken < 4.0
            && self.rough < 0.4 * self.rough_rest
            && self.rough < 50.0
    }
}
