//! Where the images are: equal cells in as many columns as make them largest.

use egui::{Rect, Vec2, pos2, vec2};

/// Height of an image's title strip, in points.
pub(super) const TITLE_HEIGHT: f32 = 26.0;

/// Height of the read-out under the images, in points.
pub(super) const READ_OUT_HEIGHT: f32 = 22.0;

/// Between cells, in points.
const GAP: f32 = 8.0;

/// The places of an image and its title.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// All of it.
    pub rect: Rect,
    /// The part under the title, which the image may cover.
    pub area: Rect,
}

/// Equal cells for `count` images of the shape `aspect` (width over height), row by row.
pub(super) fn cells(canvas: Rect, count: usize, aspect: f32) -> Vec<Cell> {
    let count = count.max(1);
    let fitting = |columns: usize| {
        let size = cell_size(canvas, columns, count.div_ceil(columns));
        let room = vec2(size.x, size.y - TITLE_HEIGHT).max(Vec2::splat(1.0));
        room.x.min(room.y * aspect)
    };
    // Of layouts that are equally good the one with more columns: people compare from left to right.
    let columns = (1..=count)
        .max_by(|&a, &b| fitting(a).total_cmp(&fitting(b)))
        .unwrap_or(1);
    let size = cell_size(canvas, columns, count.div_ceil(columns));
    let cell = |index: usize| {
        let place = vec2((index % columns) as f32, (index / columns) as f32);
        let rect = Rect::from_min_size(canvas.min + place * (size + Vec2::splat(GAP)), size);
        Cell { rect, area: area(rect) }
    };
    (0..count).map(cell).collect()
}

fn cell_size(canvas: Rect, columns: usize, rows: usize) -> Vec2 {
    let count = vec2(columns as f32, rows as f32);
    ((canvas.size() - (count - Vec2::splat(1.0)) * GAP) / count).max(Vec2::splat(1.0))
}

/// The part of a cell under its title.
fn area(cell: Rect) -> Rect {
    let area = Rect::from_min_max(pos2(cell.min.x, cell.min.y + TITLE_HEIGHT), cell.max);
    if area.is_positive() {
        area
    } else {
        Rect::from_min_size(cell.min, Vec2::splat(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(width: f32, height: f32, count: usize) -> usize {
        let cells = cells(Rect::from_min_size(pos2(0.0, 0.0), vec2(width, height)), count, 1.0);
        assert_eq!(cells.len(), count);
        cells.iter().filter(|cell| cell.rect.top() < 1.0).count()
    }

    #[test]
    fn images_are_as_large_as_the_canvas_allows() {
        assert_eq!(columns(800.0, 500.0, 2), 2);
        assert_eq!(columns(400.0, 800.0, 2), 1);
        assert_eq!(columns(800.0, 500.0, 5), 3);
        assert_eq!(columns(2000.0, 400.0, 5), 5);
    }

    #[test]
    fn cells_neither_overlap_nor_leave_the_canvas() {
        let canvas = Rect::from_min_size(pos2(10.0, 20.0), vec2(777.0, 555.0));
        for count in 1..9 {
            let cells = cells(canvas, count, 1.5);
            for (index, cell) in cells.iter().enumerate() {
                assert!(canvas.expand(0.1).contains_rect(cell.rect));
                assert!(
                    cells[..index]
                        .iter()
                        .all(|other| !other.rect.shrink(0.1).intersects(cell.rect))
                );
            }
        }
    }
}
