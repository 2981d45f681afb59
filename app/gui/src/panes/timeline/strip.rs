//! Where the pictures of the strips are.

use egui::{Rect, Vec2, vec2};

/// Gap between pictures, in points.
pub(super) const GAP: f32 = 3.0;

/// Narrowest picture, in points: enough to see a tone.
const NARROWEST: f32 = 18.0;

/// Lowest and highest picture, in points.
const HEIGHTS: (f32, f32) = (24.0, 120.0);

/// Width of the names beside several strips, in points.
pub(super) const NAMES: f32 = 84.0;

/// Height of a line of labels under the pictures, in points.
pub(super) const LABEL_LINE: f32 = 13.0;

/// Sizes of the strips.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip {
    /// Pictures in a strip: the steps and the result.
    pub count: usize,
    /// Strips, one under the other.
    pub rows: usize,
    picture_width: f32,
    picture_height: f32,
}

impl Strip {
    /// As wide as the pictures' shape allows, as narrow and low as it takes to show all of them.
    pub fn new(count: usize, rows: usize, aspect: f32, room: Vec2) -> Self {
        let (count, rows) = (count.max(1), rows.max(1));
        let names = if rows > 1 { NAMES } else { 0.0 };
        let height = (room.y - labels_height(rows)) / rows as f32 - GAP;
        let picture_height = height.clamp(HEIGHTS.0, HEIGHTS.1);
        let share = (room.x - names) / count as f32 - GAP;
        Self {
            count,
            rows,
            picture_width: share.clamp(NARROWEST, (picture_height * aspect).max(NARROWEST)),
            picture_height,
        }
    }

    /// Room that the strips and their labels take.
    pub fn size(self) -> Vec2 {
        let width = self.count as f32 * (self.picture_width + GAP);
        vec2(width, self.pictures_height() + labels_height(self.rows))
    }

    /// Height of a strip with the gap under it.
    pub fn row_height(self) -> f32 {
        self.picture_height + GAP
    }

    fn pictures_height(self) -> f32 {
        self.rows as f32 * self.row_height()
    }

    /// The picture at `offset` points from the left.
    pub fn index_at(self, offset: f32) -> usize {
        ((offset / (self.picture_width + GAP)).max(0.0) as usize).min(self.count - 1)
    }

    /// The picture of a step in the strip at `row`.
    pub fn picture(self, strips: Rect, row: usize, index: usize) -> Rect {
        let offset = vec2(
            index as f32 * (self.picture_width + GAP),
            row as f32 * self.row_height(),
        );
        Rect::from_min_size(strips.min + offset, vec2(self.picture_width, self.picture_height))
    }

    /// A step's pictures in all strips.
    pub fn column(self, strips: Rect, index: usize) -> Rect {
        let first = self.picture(strips, 0, index);
        first.union(self.picture(strips, self.rows - 1, index))
    }

    /// Every how many pictures there is room for a label of `width` points.
    pub fn label_every(self, width: f32) -> usize {
        (width / (self.picture_width + GAP)).ceil().max(1.0) as usize
    }
}

/// Lines of labels under the pictures: noise levels and, where there is room for it, step times.
pub(super) fn label_lines(rows: usize) -> usize {
    if rows > 1 { 1 } else { 2 }
}

fn labels_height(rows: usize) -> f32 {
    label_lines(rows) as f32 * LABEL_LINE + 6.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::pos2;

    #[test]
    fn all_steps_fit_and_every_point_belongs_to_one() {
        let strip = Strip::new(21, 1, 1.0, vec2(760.0, 100.0));
        assert!(strip.size().x <= 760.0);
        assert_eq!(strip.index_at(0.0), 0);
        assert_eq!(strip.index_at(759.9), 20);
        assert_eq!(strip.index_at(1e6), 20);
        assert_eq!(strip.index_at(-5.0), 0);
    }

    #[test]
    fn few_steps_keep_the_images_shape() {
        let strip = Strip::new(4, 1, 1.5, vec2(2000.0, 100.0 + GAP + labels_height(1)));
        assert!((strip.picture_width - 150.0).abs() < 1e-3);
    }

    #[test]
    fn hundreds_of_steps_scroll() {
        let strip = Strip::new(500, 1, 1.0, vec2(760.0, 100.0));
        assert!((strip.picture_width - NARROWEST).abs() < 1e-6);
        assert!(strip.size().x > 760.0);
    }

    #[test]
    fn lanes_share_the_height_and_the_columns() {
        let room = vec2(760.0, 150.0);
        let strip = Strip::new(21, 3, 1.0, room);
        assert!(strip.size().y <= room.y && strip.size().x <= room.x - NAMES);
        let strips = Rect::from_min_size(pos2(10.0, 10.0), strip.size());
        let [first, last] = [0, 2].map(|row| strip.picture(strips, row, 7));
        assert_eq!(first.x_range(), last.x_range());
        assert!(last.top() > first.bottom());
        assert_eq!(strip.column(strips, 7), first.union(last));
        let many = Strip::new(21, 30, 1.0, room);
        assert!(many.size().y > room.y, "they scroll rather than vanish");
    }
}
