//! The studio's icons, drawn as vectors: sharp at every scale factor, in the colour of the text beside them.

use std::f32::consts::PI;

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, vec2};

/// A point in an icon's unit square, to the right and down.
type Point = (f32, f32);

/// An icon: its strokes and areas, from the back to the front.
#[derive(Debug, Clone, Copy)]
pub struct Icon(&'static [Mark]);

/// A part of an icon.
#[derive(Debug)]
enum Mark {
    /// Lines from point to point.
    Line(&'static [Point]),
    /// A filled convex shape.
    Area(&'static [Point]),
    /// A filled rectangle between two corners.
    Block(Point, Point),
    /// A rectangle between two corners, with rounded ones of that radius.
    Frame(Point, Point, f32),
    /// A filled circle of that radius.
    Dot(Point, f32),
    /// A circle of that radius.
    Ring(Point, f32),
    /// Part of a circle of that radius, between two angles in half-turns: 0 is to the right, 0.5 down.
    Arc(Point, f32, [f32; 2]),
    /// The same, filled.
    Segment(Point, f32, [f32; 2]),
}

use Mark::{Arc, Area, Block, Dot, Frame, Line, Ring, Segment};

impl Icon {
    /// A triangle: run.
    pub const PLAY: Self = Self(&[Area(&[(0.28, 0.18), (0.84, 0.5), (0.28, 0.82)])]);
    /// A square: stop.
    pub const STOP: Self = Self(&[Block((0.24, 0.24), (0.76, 0.76))]);
    /// A die: another seed.
    pub const DICE: Self = Self(&[
        Frame((0.14, 0.14), (0.86, 0.86), 0.14),
        Dot((0.34, 0.34), 0.065),
        Dot((0.66, 0.34), 0.065),
        Dot((0.5, 0.5), 0.065),
        Dot((0.34, 0.66), 0.065),
        Dot((0.66, 0.66), 0.065),
    ]);
    /// A closed padlock.
    pub const LOCKED: Self = Self(&[
        Block((0.22, 0.46), (0.78, 0.86)),
        Arc((0.5, 0.34), 0.18, [1.0, 2.0]),
        Line(&[(0.32, 0.33), (0.32, 0.5)]),
        Line(&[(0.68, 0.33), (0.68, 0.5)]),
    ]);
    /// An open padlock.
    pub const UNLOCKED: Self = Self(&[
        Block((0.22, 0.46), (0.78, 0.86)),
        Arc((0.78, 0.34), 0.18, [1.0, 2.0]),
        Line(&[(0.6, 0.33), (0.6, 0.5)]),
        Line(&[(0.96, 0.33), (0.96, 0.38)]),
    ]);
    /// A folder.
    pub const FOLDER: Self = Self(&[Line(&[
        (0.12, 0.24),
        (0.4, 0.24),
        (0.5, 0.36),
        (0.88, 0.36),
        (0.88, 0.8),
        (0.12, 0.8),
        (0.12, 0.24),
    ])]);
    /// A sheet with a folded corner.
    pub const FILE: Self = Self(&[
        Line(&[
            (0.56, 0.1),
            (0.2, 0.1),
            (0.2, 0.9),
            (0.8, 0.9),
            (0.8, 0.34),
            (0.56, 0.1),
        ]),
        Line(&[(0.56, 0.12), (0.56, 0.36), (0.78, 0.36)]),
    ]);
    /// Three lines: the menu.
    pub const MENU: Self = Self(&[
        Line(&[(0.14, 0.28), (0.86, 0.28)]),
        Line(&[(0.14, 0.5), (0.86, 0.5)]),
        Line(&[(0.14, 0.72), (0.86, 0.72)]),
    ]);
    /// A cross: dismiss.
    pub const CLOSE: Self = Self(&[Line(&[(0.25, 0.25), (0.75, 0.75)]), Line(&[(0.75, 0.25), (0.25, 0.75)])]);
    /// A half-filled disc: dark or light.
    pub const LOOK: Self = Self(&[Segment((0.5, 0.5), 0.34, [0.5, 1.5]), Ring((0.5, 0.5), 0.34)]);
    /// A triangle with an exclamation mark.
    pub const WARNING: Self = Self(&[
        Line(&[(0.5, 0.14), (0.9, 0.84), (0.1, 0.84), (0.5, 0.14)]),
        Line(&[(0.5, 0.4), (0.5, 0.62)]),
        Dot((0.5, 0.73), 0.05),
    ]);
    /// A tick.
    pub const CHECK: Self = Self(&[Line(&[(0.2, 0.54), (0.42, 0.76), (0.82, 0.28)])]);
    /// A picture with mountains.
    pub const PICTURE: Self = Self(&[
        Line(&[(0.1, 0.2), (0.9, 0.2), (0.9, 0.8), (0.1, 0.8), (0.1, 0.2)]),
        Line(&[(0.1, 0.72), (0.36, 0.46), (0.56, 0.66), (0.7, 0.54), (0.9, 0.72)]),
        Dot((0.68, 0.37), 0.06),
    ]);
    /// An arrow into a tray: save.
    pub const SAVE: Self = Self(&[
        Line(&[(0.5, 0.12), (0.5, 0.6)]),
        Line(&[(0.28, 0.4), (0.5, 0.62), (0.72, 0.4)]),
        Line(&[(0.14, 0.62), (0.14, 0.86), (0.86, 0.86), (0.86, 0.62)]),
    ]);
    /// An arrow back.
    pub const UNDO: Self = Self(&[
        Line(&[(0.16, 0.34), (0.58, 0.34)]),
        Arc((0.58, 0.58), 0.24, [1.5, 2.5]),
        Line(&[(0.58, 0.82), (0.34, 0.82)]),
        Line(&[(0.34, 0.16), (0.16, 0.34), (0.34, 0.52)]),
    ]);
    /// An arrow forth.
    pub const REDO: Self = Self(&[
        Line(&[(0.84, 0.34), (0.42, 0.34)]),
        Arc((0.42, 0.58), 0.24, [0.5, 1.5]),
        Line(&[(0.42, 0.82), (0.66, 0.82)]),
        Line(&[(0.66, 0.16), (0.84, 0.34), (0.66, 0.52)]),
    ]);
    /// A magnifying glass.
    pub const SEARCH: Self = Self(&[Ring((0.44, 0.44), 0.26), Line(&[(0.64, 0.64), (0.86, 0.86)])]);
    /// A triangle before a bar, pointing back: one step back.
    pub const PREVIOUS: Self = Self(&[
        Area(&[(0.72, 0.22), (0.3, 0.5), (0.72, 0.78)]),
        Line(&[(0.24, 0.24), (0.24, 0.76)]),
    ]);
    /// A triangle before a bar: one step on.
    pub const NEXT: Self = Self(&[
        Area(&[(0.28, 0.22), (0.7, 0.5), (0.28, 0.78)]),
        Line(&[(0.76, 0.24), (0.76, 0.76)]),
    ]);
    /// Three dots: more.
    pub const MORE: Self = Self(&[Dot((0.2, 0.5), 0.09), Dot((0.5, 0.5), 0.09), Dot((0.8, 0.5), 0.09)]);
    /// A plus: add.
    pub const ADD: Self = Self(&[Line(&[(0.5, 0.2), (0.5, 0.8)]), Line(&[(0.2, 0.5), (0.8, 0.5)])]);
    /// Three sliders: the Mixer.
    pub const SLIDERS: Self = Self(&[
        Line(&[(0.12, 0.24), (0.88, 0.24)]),
        Line(&[(0.12, 0.5), (0.88, 0.5)]),
        Line(&[(0.12, 0.76), (0.88, 0.76)]),
        Dot((0.64, 0.24), 0.11),
        Dot((0.32, 0.5), 0.11),
        Dot((0.56, 0.76), 0.11),
    ]);
    /// A box in perspective: the model.
    pub const BOX: Self = Self(&[
        Line(&[
            (0.5, 0.1),
            (0.86, 0.28),
            (0.86, 0.7),
            (0.5, 0.9),
            (0.14, 0.7),
            (0.14, 0.28),
            (0.5, 0.1),
        ]),
        Line(&[(0.14, 0.28), (0.5, 0.48), (0.86, 0.28)]),
        Line(&[(0.5, 0.48), (0.5, 0.9)]),
    ]);
    /// Frames of a film: steps in time.
    pub const FRAMES: Self = Self(&[
        Line(&[(0.08, 0.26), (0.92, 0.26)]),
        Line(&[(0.08, 0.74), (0.92, 0.74)]),
        Line(&[(0.12, 0.26), (0.12, 0.74)]),
        Line(&[(0.37, 0.26), (0.37, 0.74)]),
        Line(&[(0.63, 0.26), (0.63, 0.74)]),
        Line(&[(0.88, 0.26), (0.88, 0.74)]),
    ]);
    /// Lines with dots before them: a list.
    pub const LIST: Self = Self(&[
        Dot((0.18, 0.26), 0.07),
        Line(&[(0.36, 0.26), (0.88, 0.26)]),
        Dot((0.18, 0.5), 0.07),
        Line(&[(0.36, 0.5), (0.88, 0.5)]),
        Dot((0.18, 0.74), 0.07),
        Line(&[(0.36, 0.74), (0.88, 0.74)]),
    ]);
    /// A curve that falls in its axes: a training's loss.
    pub const LOSS: Self = Self(&[
        Line(&[(0.14, 0.12), (0.14, 0.86), (0.88, 0.86)]),
        Line(&[(0.24, 0.2), (0.32, 0.46), (0.46, 0.62), (0.64, 0.69), (0.86, 0.72)]),
    ]);
    /// A speech bubble: messages.
    pub const BUBBLE: Self = Self(&[Line(&[
        (0.12, 0.18),
        (0.88, 0.18),
        (0.88, 0.66),
        (0.5, 0.66),
        (0.32, 0.86),
        (0.32, 0.66),
        (0.12, 0.66),
        (0.12, 0.18),
    ])]);
    /// A cloud with rain: the weather.
    pub const WEATHER: Self = Self(&[
        Arc((0.36, 0.46), 0.16, [0.5, 1.5]),
        Arc((0.5, 0.36), 0.2, [1.0, 1.9]),
        Arc((0.7, 0.46), 0.16, [1.45, 2.5]),
        Line(&[(0.36, 0.62), (0.7, 0.62)]),
        Line(&[(0.38, 0.72), (0.32, 0.88)]),
        Line(&[(0.54, 0.72), (0.48, 0.88)]),
        Line(&[(0.7, 0.72), (0.64, 0.88)]),
    ]);
    /// Bars that become lower: a spectrum.
    pub const BARS: Self = Self(&[
        Block((0.12, 0.14), (0.26, 0.86)),
        Block((0.34, 0.34), (0.48, 0.86)),
        Block((0.56, 0.52), (0.7, 0.86)),
        Block((0.78, 0.66), (0.92, 0.86)),
    ]);
}

/// Paints `icon` into the square `rect`.
pub fn paint(painter: &Painter, rect: Rect, icon: Icon, color: Color32) {
    let side = rect.width().min(rect.height());
    let square = Rect::from_center_size(rect.center(), Vec2::splat(side));
    icon.0.iter().for_each(|mark| mark.paint(painter, square, color));
}

impl Mark {
    fn paint(&self, painter: &Painter, square: Rect, color: Color32) {
        let side = square.width();
        let stroke = Stroke::new((side * 0.09).clamp(1.2, 3.0), color);
        let at = |(x, y): Point| square.min + side * vec2(x, y);
        let all = |points: &[Point]| points.iter().map(|&point| at(point)).collect();
        let arc = |(x, y): Point, radius: f32, [from, to]: [f32; 2]| -> Vec<Pos2> {
            let angles = (0..=16).map(|index| PI * egui::lerp(from..=to, index as f32 / 16.0));
            angles
                .map(|angle| at((x + radius * angle.cos(), y + radius * angle.sin())))
                .collect()
        };
        match *self {
            Line(points) => painter.add(Shape::line(all(points), stroke)),
            Area(points) => painter.add(Shape::convex_polygon(all(points), color, Stroke::NONE)),
            Block(min, max) => painter.rect_filled(Rect::from_min_max(at(min), at(max)), side * 0.08, color),
            Frame(min, max, corner) => painter.rect_stroke(
                Rect::from_min_max(at(min), at(max)),
                side * corner,
                stroke,
                StrokeKind::Inside,
            ),
            Dot(center, radius) => painter.circle_filled(at(center), side * radius, color),
            Ring(center, radius) => painter.circle_stroke(at(center), side * radius, stroke),
            Arc(center, radius, angles) => painter.add(Shape::line(arc(center, radius, angles), stroke)),
            Segment(center, radius, angles) => {
                painter.add(Shape::convex_polygon(arc(center, radius, angles), color, Stroke::NONE))
            }
        };
    }
}

/// The program's icon; empty if it can't be decoded, since a window without its icon is better than no window.
pub fn program_icon() -> egui::IconData {
    eframe::icon_data::from_png_bytes(include_bytes!("../../../assets/icons/mdsd3-256.png")).unwrap_or_default()
}
