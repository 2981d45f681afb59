//! The head map: which class owns each attention head, and ratios of single heads.

use egui::{Align2, Color32, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, vec2};
use mdsd3_words::MAX_RATIO;

use crate::commands::Command;
use crate::panes::context::PaneContext;
use crate::theme;
use crate::widgets::{LabelledSlider, caption, folded_section, text_button};

/// Least side of a cell, in points.
const CELL: f32 = 22.0;

/// Draws the section.
pub fn show(ui: &mut Ui, studio: &mut PaneContext<'_>) {
    let heads = studio.state.model.as_ref().map_or(0, |model| model.heads);
    if heads == 0 || studio.state.classes().is_empty() {
        return;
    }
    let note = match studio.state.settings().sampling.head_ratios.len() {
        0 => "follow their class".to_owned(),
        count => format!("{count} of {heads} set"),
    };
    folded_section(ui, "Attention heads", &note, |ui| {
        map(ui, studio, heads);
        match studio.looking.head.filter(|head| *head < heads) {
            Some(head) => single(ui, studio, head),
            None => {
                caption(
                    ui,
                    "Each class speaks through its own heads. Click one to set it alone.",
                );
            }
        }
        let any_single = !studio.state.settings().sampling.head_ratios.is_empty();
        if any_single && text_button(ui, "All follow their class", Command::ReleaseHeads.label()).clicked() {
            studio.commands.push(Command::ReleaseHeads);
        }
    });
}

fn map(ui: &mut Ui, studio: &mut PaneContext<'_>, heads: usize) {
    let gap = 3.0;
    let width = ui.available_width();
    let per_row = (((width + gap) / (CELL + gap)).floor() as usize).clamp(1, heads);
    let cell = ((width + gap) / per_row as f32 - gap).min(36.0);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing = Vec2::splat(gap);
        for first in (0..heads).step_by(per_row) {
            ui.horizontal(|ui| {
                for head in first..(first + per_row).min(heads) {
                    one_cell(ui, studio, head, vec2(cell, CELL));
                }
            });
        }
    });
}

fn one_cell(ui: &mut Ui, studio: &mut PaneContext<'_>, head: usize, size: Vec2) {
    let theme = theme::of(ui);
    let state = &studio.state;
    let owner = state.owner_of_head(head);
    let ratio = state.head_ratio(head);
    let is_single = state.single_head(head).is_some();
    let owner_name = owner
        .and_then(|index| state.classes().get(index))
        .map_or("nobody", String::as_str);
    let color = owner.map_or(theme.text_weak, |index| theme.class(index));
    let name = format!("head {head}, {owner_name}, ratio {ratio:.2}");
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let selected = studio.looking.head == Some(head);
    paint_cell(ui, rect, head, color, ratio / MAX_RATIO);
    if selected || response.has_focus() {
        let stroke = Stroke::new(1.5, theme.accent_line);
        ui.painter().rect_stroke(rect, 3.0, stroke, StrokeKind::Inside);
    }
    if is_single {
        ui.painter()
            .circle_filled(rect.right_top() + vec2(-4.0, 4.0), 2.0, theme.text_strong);
    }
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &name));
    if response.on_hover_text(name.replace("head", "Head")).clicked() {
        studio.looking.head = (!selected).then_some(head);
    }
}

/// A cell filled from below as far as the head speaks, with its number.
fn paint_cell(ui: &Ui, rect: Rect, head: usize, color: Color32, share: f32) {
    let theme = theme::of(ui);
    let painter = ui.painter();
    painter.rect_filled(rect, 3.0, color.gamma_multiply(0.22));
    let filled = rect.with_min_y(rect.bottom() - rect.height() * share.clamp(0.0, 1.0));
    painter.rect_filled(filled, 3.0, color.gamma_multiply(0.75));
    let number = head.to_string();
    painter.text(
        rect.center(),
        Align2::CENTER_CENTER,
        number,
        theme::small_number_font(),
        theme.text_strong,
    );
}

/// The slider of the head that was clicked.
fn single(ui: &mut Ui, studio: &mut PaneContext<'_>, head: usize) {
    let owner = studio.state.owner_of_head(head);
    let mut ratio = f64::from(studio.state.head_ratio(head));
    let slider = LabelledSlider {
        label: &format!("Head {head}"),
        name: &format!("head {head} ratio"),
        help: "A ratio of this head alone, in every block and at every sigma",
        range: 0.0..=f64::from(MAX_RATIO),
        decimals: 2,
        color: owner.map(|index| theme::of(ui).class(index)),
        mark: Some(1.0),
        label_width: LabelledSlider::LABEL_WIDTH,
    };
    if slider.show(ui, &mut ratio) {
        studio.state.set_head(head, Some(ratio as f32));
    }
    if studio.state.single_head(head).is_some() {
        if text_button(ui, "Follow its class again", "Take the class's ratio").clicked() {
            studio.state.set_head(head, None);
        }
    } else {
        caption(ui, "It follows its class until you move the slider.");
    }
}
