//! The studio's icons, drawn as vectors: sharp at every scale factor, in the colour of the text beside them.

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, Vec2, vec2};

/// What an icon shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// A triangle: run.
    Play,
    /// A square: stop.
    Stop,
    /// A die: another seed.
    Dice,
    /// A closed padlock.
    Locked,
    /// An open padlock.
    Unlocked,
    /// A folder.
    Folder,
    /// A sheet with a folded corner.
    File,
    /// Three lines: the menu.
    Menu,
    /// A cross: dismiss.
    Close,
    /// A half-filled disc: dark or light.
    Look,
    /// A triangle with an exclamation mark.
    Warning,
    /// A tick.
    Check,
    /// A picture with mountains.
    Picture,
    /// An arrow into a tray: save.
    Save,
    /// An arrow back.
    Undo,
    /// An arrow forth.
    Redo,
    /// A magnifying glass.
    Search,
    /// A triangle before a bar, pointing back: one step back.
    Previous,
    /// A triangle before a bar: one step on.
    Next,
    /// Three dots: more.
    More,
    /// A plus: add.
    Add,
}

/// Paints `icon` into the square `rect`.
pub fn paint(painter: &Painter, rect: Rect, icon: Icon, color: Color32) {
    let side = rect.width().min(rect.height());
    let pen = Pen {
        painter,
        rect: Rect::from_center_size(rect.center(), Vec2::splat(side)),
        color,
    };
    match icon {
        Icon::Play => pen.polygon(&[(0.28, 0.18), (0.84, 0.5), (0.28, 0.82)]),
        Icon::Stop => pen.block((0.24, 0.24), (0.76, 0.76)),
        Icon::Dice => pen.dice(),
        Icon::Locked => pen.padlock(0.5),
        Icon::Unlocked => pen.padlock(0.78),
        Icon::Folder => pen.line(&[
            (0.12, 0.24),
            (0.4, 0.24),
            (0.5, 0.36),
            (0.88, 0.36),
            (0.88, 0.8),
            (0.12, 0.8),
            (0.12, 0.24),
        ]),
        Icon::File => {
            pen.line(&[
                (0.56, 0.1),
                (0.2, 0.1),
                (0.2, 0.9),
                (0.8, 0.9),
                (0.8, 0.34),
                (0.56, 0.1),
            ]);
            pen.line(&[(0.56, 0.12), (0.56, 0.36), (0.78, 0.36)]);
        }
        Icon::Menu => [0.28, 0.5, 0.72]
            .into_iter()
            .for_each(|y| pen.line(&[(0.14, y), (0.86, y)])),
        Icon::Close => {
            pen.line(&[(0.25, 0.25), (0.75, 0.75)]);
            pen.line(&[(0.75, 0.25), (0.25, 0.75)]);
        }
        Icon::Look => pen.half_disc(),
        Icon::Warning => {
            pen.line(&[(0.5, 0.14), (0.9, 0.84), (0.1, 0.84), (0.5, 0.14)]);
            pen.line(&[(0.5, 0.4), (0.5, 0.62)]);
            pen.dot((0.5, 0.73), 0.05);
        }
        Icon::Undo => pen.turn(1.0),
        Icon::Redo => pen.turn(-1.0),
        Icon::Search => pen.magnifier(),
        Icon::Check => pen.line(&[(0.2, 0.54), (0.42, 0.76), (0.82, 0.28)]),
        Icon::Save => {
            pen.line(&[(0.5, 0.12), (0.5, 0.6)]);
            pen.line(&[(0.28, 0.4), (0.5, 0.62), (0.72, 0.4)]);
            pen.line(&[(0.14, 0.62), (0.14, 0.86), (0.86, 0.86), (0.86, 0.62)]);
        }
        Icon::Previous => {
            pen.polygon(&[(0.72, 0.22), (0.3, 0.5), (0.72, 0.78)]);
            pen.line(&[(0.24, 0.24), (0.24, 0.76)]);
        }
        Icon::Next => {
            pen.polygon(&[(0.28, 0.22), (0.7, 0.5), (0.28, 0.78)]);
            pen.line(&[(0.76, 0.24), (0.76, 0.76)]);
        }
        Icon::More => [0.2, 0.5, 0.8].into_iter().for_each(|x| pen.dot((x, 0.5), 0.09)),
        Icon::Add => {
            pen.line(&[(0.5, 0.2), (0.5, 0.8)]);
            pen.line(&[(0.2, 0.5), (0.8, 0.5)]);
        }
        Icon::Picture => {
            pen.line(&[(0.1, 0.2), (0.9, 0.2), (0.9, 0.8), (0.1, 0.8), (0.1, 0.2)]);
            pen.line(&[(0.1, 0.72), (0.36, 0.46), (0.56, 0.66), (0.7, 0.54), (0.9, 0.72)]);
            pen.dot((0.68, 0.37), 0.06);
        }
    }
}

/// Draws in the unit square of an icon.
struct Pen<'a> {
    painter: &'a Painter,
    rect: Rect,
    color: Color32,
}

impl Pen<'_> {
    fn at(&self, (x, y): (f32, f32)) -> Pos2 {
        self.rect.min + self.rect.size() * vec2(x, y)
    }

    fn stroke(&self) -> Stroke {
        Stroke::new((self.rect.width() * 0.09).clamp(1.2, 3.0), self.color)
    }

    fn line(&self, points: &[(f32, f32)]) {
        self.painter.add(Shape::line(
            points.iter().map(|&point| self.at(point)).collect(),
            self.stroke(),
        ));
    }

    fn polygon(&self, points: &[(f32, f32)]) {
        self.painter.add(Shape::convex_polygon(
            points.iter().map(|&point| self.at(point)).collect(),
            self.color,
            Stroke::NONE,
        ));
    }

    fn block(&self, min: (f32, f32), max: (f32, f32)) {
        self.painter.rect_filled(
            Rect::from_min_max(self.at(min), self.at(max)),
            self.rect.width() * 0.08,
            self.color,
        );
    }

    fn dot(&self, center: (f32, f32), radius: f32) {
        self.painter
            .circle_filled(self.at(center), radius * self.rect.width(), self.color);
    }

    /// An arrow that turns back to the left (`side` 1) or to the right (-1).
    fn turn(&self, side: f32) {
        let mirrored = |(x, y): (f32, f32)| (0.5 + (x - 0.5) * side, y);
        let arc = (0..=10).map(|index| {
            let angle = std::f32::consts::PI * (0.5 - index as f32 / 10.0);
            (0.58 + 0.24 * angle.cos(), 0.58 - 0.24 * angle.sin())
        });
        let mut points = vec![(0.16, 0.34)];
        points.extend(arc.map(|(x, y)| (x, if y < 0.36 { 0.34 } else { y })));
        points.push((0.34, 0.82));
        let points: Vec<(f32, f32)> = points.into_iter().map(mirrored).collect();
        self.line(&points);
        let head: Vec<(f32, f32)> = [(0.34, 0.16), (0.16, 0.34), (0.34, 0.52)]
            .into_iter()
            .map(mirrored)
            .collect();
        self.line(&head);
    }

    fn magnifier(&self) {
        let (center, radius) = ((0.44, 0.44), 0.26);
        self.painter
            .circle_stroke(self.at(center), radius * self.rect.width(), self.stroke());
        self.line(&[(0.64, 0.64), (0.86, 0.86)]);
    }

    fn dice(&self) {
        let body = Rect::from_min_max(self.at((0.14, 0.14)), self.at((0.86, 0.86)));
        self.painter
            .rect_stroke(body, self.rect.width() * 0.14, self.stroke(), StrokeKind::Inside);
        for center in [(0.34, 0.34), (0.66, 0.34), (0.5, 0.5), (0.34, 0.66), (0.66, 0.66)] {
            self.dot(center, 0.065);
        }
    }

    /// A padlock whose bow ends at `bow_x`: over the body when closed, beside it when open.
    fn padlock(&self, bow_x: f32) {
        self.block((0.22, 0.46), (0.78, 0.86));
        let bow = |t: f32| {
            let angle = std::f32::consts::PI * (1.0 + t);
            (bow_x + 0.18 * angle.cos(), 0.34 + 0.18 * angle.sin())
        };
        let mut points: Vec<(f32, f32)> = vec![(bow_x - 0.18, 0.5)];
        points.extend((0..=8).map(|index| bow(index as f32 / 8.0)));
        points.push((bow_x + 0.18, if bow_x > 0.6 { 0.38 } else { 0.5 }));
        self.line(&points);
    }

    fn half_disc(&self) {
        let radius = 0.34;
        let arc = (0..=16).map(|index| {
            let angle = std::f32::consts::PI * (0.5 + index as f32 / 16.0);
            (0.5 + radius * angle.cos(), 0.5 + radius * angle.sin())
        });
        let points: Vec<(f32, f32)> = arc.collect();
        self.polygon(&points);
        self.painter
            .circle_stroke(self.at((0.5, 0.5)), radius * self.rect.width(), self.stroke());
    }
}

/// The program's icon; empty if it can't be decoded, since a window without its icon is better than no window.
pub fn program_icon() -> egui::IconData {
    eframe::icon_data::from_png_bytes(include_bytes!("../../../assets/icons/mdsd3-256.png")).unwrap_or_default()
}
