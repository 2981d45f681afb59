//! Ratio curves over sigma, drawn by dragging points.

use egui::{Align2, Color32, Id, Key, Painter, Pos2, Rect, Response, Sense, Shape, Stroke, Ui, pos2, vec2};
use mdsd3_words::MAX_RATIO;

use crate::commands::Command;
use crate::panes::context::PaneContext;
use crate::state::curves::Point;
use crate::theme::{self, Theme, space};
use crate::widgets::{arrow_steps, folded_section, segmented, slider_info, text_button};

/// Height of the plot, in points.
const HEIGHT: f32 = 96.0;

/// Curves offered at once: name, help, points by ascending sigma.
const SHAPES: [(&str, &str, &[Point]); 3] = [
    ("Constant", "The ratio as it is, at every sigma", &[]),
    (
        "Early",
        "Only while there is much noise (sigma above 0.5)",
        &[(0.4, 0.0), (0.6, 1.0)],
    ),
    (
        "Late",
        "Only when there is little noise (sigma below 0.5)",
        &[(0.4, 1.0), (0.6, 0.0)],
    ),
];

/// Draws the section.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let classes = studio.state.classes().to_vec();
    if classes.is_empty() {
        return;
    }
    let note = match studio.state.settings().sampling.curves.len() {
        0 => "constant".to_owned(),
        1 => "1 curve".to_owned(),
        count => format!("{count} curves"),
    };
    folded_section(ui, "Ratios over sigma", &note, |ui| editor(ui, studio, &classes));
}

fn editor(ui: &mut Ui, studio: &mut PaneContext<'_>, classes: &[String]) {
    let mut chosen = studio.looking.curve_of.min(classes.len() - 1);
    let choices: Vec<(usize, &str, &str)> = classes
        .iter()
        .enumerate()
        .map(|(index, class)| (index, class.as_str(), "Edit this class's curve"))
        .collect();
    segmented(ui, "curve of", &mut chosen, &choices);
    studio.looking.curve_of = chosen;
    plot(ui, studio, chosen, classes);
    shapes(ui, studio, &classes[chosen]);
    if !studio.state.settings().sampling.curves.is_empty()
        && text_button(ui, "All constant", Command::ClearCurves.label()).clicked()
    {
        studio.commands.push(Command::ClearCurves);
    }
    ui.add_space(space::ITEM);
}

fn shapes(ui: &mut Ui, studio: &mut PaneContext<'_>, class: &str) {
    ui.horizontal(|ui| {
        for (name, help, points) in SHAPES {
            if text_button(ui, name, help).clicked() {
                studio.state.set_curve(class, points.to_vec());
            }
        }
        if text_button(ui, "Add a point", "Or click into the plot").clicked() {
            let points = studio.state.curve_points(class);
            let (sigma, factor) = widest_gap(&points);
            studio.state.add_curve_point(class, (sigma, factor));
        }
    });
}

/// The middle of the widest gap between points, on the curve.
fn widest_gap(points: &[Point]) -> Point {
    let widest = points
        .windows(2)
        .max_by(|a, b| (a[1].0 - a[0].0).total_cmp(&(b[1].0 - b[0].0)));
    widest.map_or((0.5, 1.0), |pair| {
        (f32::midpoint(pair[0].0, pair[1].0), f32::midpoint(pair[0].1, pair[1].1))
    })
}

/// Where sigma and factor are in the plot: noise falls from left to right, as a run goes.
#[derive(Clone, Copy)]
struct Axes(Rect);

impl Axes {
    fn at(self, (sigma, factor): Point) -> Pos2 {
        pos2(
            self.0.left() + (1.0 - sigma) * self.0.width(),
            self.0.bottom() - factor / MAX_RATIO * self.0.height(),
        )
    }

    fn point(self, at: Pos2) -> Point {
        (
            1.0 - (at.x - self.0.left()) / self.0.width(),
            (self.0.bottom() - at.y) / self.0.height() * MAX_RATIO,
        )
    }
}

fn plot(ui: &mut Ui, studio: &mut PaneContext<'_>, chosen: usize, classes: &[String]) {
    let theme = theme::of(ui);
    let (outer, background) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::click());
    let axes = Axes(outer.shrink2(vec2(8.0, 8.0)).with_max_y(outer.bottom() - 16.0));
    let painter = ui.painter_at(outer);
    painter.rect_filled(outer, f32::from(space::CORNER), theme.slot);
    paint_axes(&painter, axes, outer, theme);
    // The one that is edited lies on top.
    let others = (0..classes.len()).filter(|index| *index != chosen);
    for index in others.chain([chosen]) {
        let points = studio.state.curve_points(&classes[index]);
        let strength = if index == chosen { 1.0 } else { 0.35 };
        let is_shown = index == chosen || !points.is_empty();
        if is_shown {
            line(&painter, axes, &points, theme.class(index).gamma_multiply(strength));
        }
    }
    let class = &classes[chosen];
    let handles = handles(ui, studio, axes, class, theme.class(chosen));
    if let Some(at) = background
        .interact_pointer_pos()
        .filter(|_| background.clicked() && !handles)
    {
        studio.state.add_curve_point(class, axes.point(at));
    }
    let help = "Click to add a point, drag it, double-click or press Delete to remove it; arrow keys move it";
    background.on_hover_text(help);
}

/// The class's points; whether one of them was touched.
fn handles(ui: &mut Ui, studio: &mut PaneContext<'_>, axes: Axes, class: &str, color: Color32) -> bool {
    let points = studio.state.curve_points(class);
    let mut touched = false;
    for (index, &point) in points.iter().enumerate() {
        let rect = Rect::from_center_size(axes.at(point), vec2(16.0, 16.0));
        let id: Id = ui.make_persistent_id(("curve point", class, index));
        let response = ui.interact(rect, id, Sense::click_and_drag());
        let name = format!("{class} curve point {} at sigma {:.2}", index + 1, point.0);
        slider_info(ui, &response, &name, f64::from(point.1));
        paint_handle(ui, axes.at(point), color, &response);
        touched |= response.clicked() || response.dragged() || response.double_clicked();
        edit(ui, studio, axes, (class, index, point), &response);
    }
    touched
}

fn edit(
    ui: &Ui,
    studio: &mut PaneContext<'_>,
    axes: Axes,
    (class, index, point): (&str, usize, Point),
    response: &Response,
) {
    let deleted = response.has_focus() && ui.input(|input| input.key_pressed(Key::Delete));
    if response.double_clicked() || deleted {
        studio.state.remove_curve_point(class, index);
        return;
    }
    if let Some(at) = response.interact_pointer_pos().filter(|_| response.dragged()) {
        studio.state.move_curve_point(class, index, axes.point(at));
        read_out(ui, axes.at(point), point);
    }
    let steps = arrow_steps(ui, response);
    if steps != egui::Vec2::ZERO {
        let to = (point.0 - 0.02 * steps.x, point.1 - 0.05 * steps.y);
        studio.state.move_curve_point(class, index, to);
    }
}

fn paint_handle(ui: &Ui, at: Pos2, color: Color32, response: &Response) {
    let theme = theme::of(ui);
    let radius = if response.hovered() || response.dragged() {
        6.0
    } else {
        5.0
    };
    ui.painter()
        .circle(at, radius, color, Stroke::new(1.0, theme.handle_edge));
    if response.has_focus() {
        ui.painter().circle_stroke(at, 8.0, Stroke::new(1.5, theme.accent_line));
    }
}

/// The numbers of the point that is dragged, beside it.
fn read_out(ui: &Ui, at: Pos2, (sigma, factor): Point) {
    let theme = theme::of(ui);
    let text = format!("σ {sigma:.2}  × {factor:.2}");
    let galley = ui
        .painter()
        .layout_no_wrap(text, theme::small_number_font(), theme.text_strong);
    let left = (at.x + 10.0).min(ui.max_rect().right() - galley.size().x - 4.0);
    let rect = Rect::from_min_size(pos2(left, at.y - 22.0), galley.size()).expand(3.0);
    ui.painter().rect_filled(rect, 3.0, theme.raised);
    ui.painter()
        .galley(rect.min + vec2(3.0, 3.0), galley, theme.text_strong);
}

/// The curve from edge to edge; constant at 1 without points.
fn line(painter: &Painter, axes: Axes, points: &[Point], color: Color32) {
    let ends = match (points.first(), points.last()) {
        (Some(first), Some(last)) => ((0.0, first.1), (1.0, last.1)),
        _ => ((0.0, 1.0), (1.0, 1.0)),
    };
    let all = std::iter::once(ends.0).chain(points.iter().copied()).chain([ends.1]);
    let path: Vec<Pos2> = all.map(|point| axes.at(point)).collect();
    painter.add(Shape::line(path, Stroke::new(2.0, color)));
}

fn paint_axes(painter: &Painter, axes: Axes, outer: Rect, theme: &Theme) {
    let hairline = Stroke::new(1.0, theme.line);
    for factor in [0.0, 1.0] {
        painter.line_segment([axes.at((1.0, factor)), axes.at((0.0, factor))], hairline);
    }
    let font = theme::small_font();
    let text = |at: Pos2, align: Align2, words: &str| {
        painter.text(at, align, words, font.clone(), theme.text_weak);
    };
    text(
        pos2(axes.0.left(), outer.bottom() - 1.0),
        Align2::LEFT_BOTTOM,
        "σ 1, noise",
    );
    text(
        pos2(axes.0.right(), outer.bottom() - 1.0),
        Align2::RIGHT_BOTTOM,
        "σ 0, image",
    );
    text(axes.at((1.0, 1.0)) + vec2(0.0, -1.0), Align2::LEFT_BOTTOM, "× 1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_and_its_points_agree() {
        let axes = Axes(Rect::from_min_size(pos2(10.0, 20.0), vec2(200.0, 90.0)));
        assert_eq!(axes.at((1.0, 0.0)), pos2(10.0, 110.0));
        let (sigma, factor) = axes.point(axes.at((0.3, 0.8)));
        assert!((sigma - 0.3).abs() < 1e-5 && (factor - 0.8).abs() < 1e-5);
    }

    #[test]
    fn a_new_point_goes_where_there_is_most_room() {
        assert_eq!(widest_gap(&[]), (0.5, 1.0));
        assert_eq!(widest_gap(&[(0.0, 1.0), (0.2, 0.0), (1.0, 1.0)]), (0.6, 0.5));
    }
}
