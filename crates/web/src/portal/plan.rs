//! A plan before it begins: its track, how many instances run when, what it costs, and what goes.

use domain::{
    deployment::Deployment,
    plan::Step,
    preview::{AwsPreview, CapacityPoint, GateForecast, Preview},
    release::Content,
};
use maud::{Markup, html};
use operations::deployments::Planned;

use super::{
    deployment::{ahead, step_name},
    parts::{Mark, icon, length},
};

/// Size of the drawing, in its own units.
const WIDE: f64 = 420.0;
const HIGH: f64 = 110.0;
/// Least width of a step whose number is written above it.
const NUMBER_WIDE: f64 = 16.0;
/// Ids of instances that are shown at once.
const IDS_MAX: usize = 200;

/// All of a plan.
pub(super) fn plan(planned: &Planned) -> Markup {
    let Planned {
        deployment,
        preview,
    } = planned;
    html! {
        section.card aria-labelledby="plan-title" {
            div.head {
                h2 #plan-title { "The plan" }
                span.small.soft { "about " (length(preview.expected_ms)) " · at most " (instances(preview.peak_instances)) }
            }
            (ahead(deployment, |index| foot(preview, index)))
            (forecasts(deployment, preview))
        }
        div.two {
            section.card aria-labelledby="capacity-title" {
                h2 #capacity-title { "Instances over time" }
                (capacity(preview))
            }
            section.card aria-labelledby="costs-title" {
                h2 #costs-title { "What it takes" }
                (facts(deployment, preview))
            }
        }
        (going(deployment, preview))
    }
}

/// How long a step takes, and how long the way back from its end.
fn foot(preview: &Preview, index: usize) -> Markup {
    let Some(step) = preview.steps.get(index) else {
        return html! {};
    };
    html! {
        p.small.soft {
            @match step.expected_ms { 0 => { "at once" }, ms => { "about " (length(ms)) } }
            @match step.way_back_ms { 0 => { " · back at once" }, ms => { " · back in " (length(ms)) } }
        }
        @if preview.point_of_no_return == Some(index) {
            p.small { span.state.wait { (icon("behind")) "no quick way back after this" } }
        }
    }
}

/// How long gates need that compare users' traffic; those that will not be met in time stand out.
fn forecasts(deployment: &Deployment, preview: &Preview) -> Markup {
    let steps = preview.steps.iter().zip(&deployment.plan.steps);
    let all: Vec<(&Step, &GateForecast)> = steps
        .flat_map(|(told, step)| told.forecasts.iter().map(move |forecast| (step, forecast)))
        .collect();
    let mark = |forecast: &GateForecast| match forecast.is_in_time() {
        true => Mark::new("ok", "ok", "in time"),
        false => Mark::new("wait", "waiting", "not in time"),
    };
    html! {
        @if !all.is_empty() {
            h3 { "What its gates need" }
            ul.faults {
                @for (step, forecast) in all {
                    li.small {
                        (mark(forecast).plain()) " "
                        @if let Some(gate) = step.gates().get(forecast.gate) { b { (gate) } ": " }
                        (forecast.sentence())
                    }
                }
            }
        }
    }
}

fn facts(deployment: &Deployment, preview: &Preview) -> Markup {
    let first = preview.steps.first().map_or(0, |step| step.way_back_ms);
    html! {
        dl.facts {
            dt { "Time" } dd { "about " (length(preview.expected_ms)) @if asks(deployment) { ", and until people have said yes" } }
            dt { "Instances" } dd { "at most " (preview.peak_instances) " at once" }
            dt { "More than usual" } dd { (extra(preview.extra_instance_ms)) }
            dt { "Requests" } dd { (preview.calls) " to the provider that change something" }
            dt { "Way back" } dd { (way_back(deployment, preview, first)) }
            @if let Content::Package { image: Some(image), .. } | Content::Image { image } = &deployment.launch.content {
                dt { "Machine image" } dd.mono { (image) }
            }
            @if let Some(aws) = &preview.aws { (on_aws(aws)) }
        }
    }
}

fn on_aws(aws: &AwsPreview) -> Markup {
    html! {
        dt { "Account" } dd { (aws.account) @if let Some(region) = &aws.region { ", " (region) } }
        @for (slice, group) in &aws.groups { dt { "Group, " (slice) } dd.mono { (group) } }
        @for note in &aws.notes { dt { "Note" } dd { (note) } }
    }
}

/// Somebody has to say yes on the way.
fn asks(deployment: &Deployment) -> bool {
    let gates = deployment.plan.steps.iter().flat_map(Step::gates);
    gates.into_iter().any(|gate| gate.as_str() == "approval")
}

fn way_back(deployment: &Deployment, preview: &Preview, first: u64) -> String {
    let quick = match first {
        0 => "at once".to_owned(),
        ms => format!("in about {}", length(ms)),
    };
    match (&deployment.stable, preview.point_of_no_return) {
        (None, _) => "nothing was live before: what was started is stopped".to_owned(),
        (Some(stable), None) => format!(
            "users are back on {} {quick}, at any moment",
            stable.version
        ),
        (Some(stable), Some(at)) => format!(
            "users are back on {} {quick}, until step {} stops its instances; after that, new ones must start first",
            stable.version,
            at + 1
        ),
    }
}

/// Instance time in units that people know.
fn extra(instance_ms: u64) -> String {
    match instance_ms / 1000 {
        0 => "nothing".to_owned(),
        seconds @ 1..600 => format!("{seconds} instance-seconds"),
        seconds => format!("{} instance-minutes", seconds / 60),
    }
}

fn instances(count: u32) -> String {
    match count {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances"),
    }
}

/// The instances that will go, by id.
fn going(deployment: &Deployment, preview: &Preview) -> Markup {
    let all = preview.retires.len();
    let stable = deployment.stable.as_ref();
    html! {
        @if all > 0 {
            section.card aria-labelledby="going-title" {
                div.head {
                    h2 #going-title { "Instances that will go" }
                    span.small.soft { (all) @if let Some(stable) = stable { " of " span.mono { (stable.version) } } }
                }
                ul.ids {
                    @for id in preview.retires.iter().take(IDS_MAX) { li.mono { (id) } }
                    @if all > IDS_MAX { li { "and " (all - IDS_MAX) " more" } }
                }
            }
        }
    }
}

/// What a button does that begins this plan, in one sentence.
pub(super) fn consequence(planned: &Planned) -> String {
    let Planned {
        deployment,
        preview,
    } = planned;
    let version = &deployment.launch.version;
    let steps = &deployment.plan.steps;
    let started = steps.iter().filter_map(|step| match step {
        Step::Fill(fill) => Some(fill.count),
        Step::Refresh(refresh) => Some(refresh.count),
        _ => None,
    });
    let mut parts = Vec::new();
    if let Some(count) = started.max() {
        parts.push(format!("starts {} of {version}", instances(count)));
    }
    let shifts = steps.iter().filter(|step| matches!(step, Step::Shift(_)));
    match shifts.count() {
        0 => {}
        1 => parts.push("moves all users to it".to_owned()),
        many => parts.push(format!("moves users in {many} stages")),
    }
    if let (Some(stable), Ok(count @ 1..)) =
        (&deployment.stable, u32::try_from(preview.retires.len()))
    {
        parts.push(format!(
            "stops the {} of {}",
            instances(count),
            stable.version
        ));
    }
    let told = match parts.pop() {
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
        None => format!("makes {version} the live release"),
    };
    format!(
        "Begins at once: {told}. It takes about {}.",
        length(preview.expected_ms)
    )
}

/// A level of the drawing: how many instances run between two moments.
#[derive(Debug, PartialEq)]
struct Level {
    from: f64,
    until: f64,
    instances: u32,
}

/// The curve as levels over `wide` units; one that takes no time is not drawn.
fn levels(curve: &[CapacityPoint], end_ms: u64, wide: f64) -> Vec<Level> {
    let x = |ms: u64| wide * ms as f64 / end_ms.max(1) as f64;
    let ends = curve.iter().skip(1).map(|point| point.at_ms);
    let pairs = curve.iter().zip(ends.chain([end_ms]));
    pairs
        .filter(|(point, end)| *end > point.at_ms)
        .map(|(point, end)| Level {
            from: x(point.at_ms),
            until: x(end),
            instances: point.instances,
        })
        .collect()
}

fn capacity(preview: &Preview) -> Markup {
    let top = f64::from(preview.peak_instances.max(1));
    let y = |count: u32| HIGH - HIGH * f64::from(count) / top;
    let levels = levels(&preview.capacity, preview.expected_ms, WIDE);
    let mut line = String::new();
    for level in &levels {
        let pen = if line.is_empty() { 'M' } else { 'L' };
        let high = y(level.instances);
        line.push_str(&format!(
            "{pen}{:.1} {high:.1}H{:.1}",
            level.from, level.until
        ));
    }
    let end = preview.capacity.last().map_or(0, |point| point.instances);
    let area = format!("{line}V{HIGH}H0Z");
    line.push_str(&format!("V{:.1}", y(end)));
    let begin = preview.capacity.first().map_or(0, |point| point.instances);
    let label = format!(
        "{begin} instances at the beginning, {} at most, {end} at the end",
        preview.peak_instances
    );
    html! {
        figure.chart {
            svg.capacity viewBox={ "-2 -18 " (WIDE + 44.0) " " (HIGH + 36.0) } role="img" aria-label=(label) {
                @for (number, from, until) in bands(preview) {
                    path.grid d={ "M" (format!("{from:.1}")) " 0V" (HIGH) } {}
                    @if until - from >= NUMBER_WIDE { text.step x=(format!("{:.1}", (from + until) / 2.0)) y="-6" { (number) } }
                }
                path.grid d={ "M0 " (HIGH) "H" (WIDE) } {}
                path.area d=(area) {}
                path.line.new d=(line) {}
                text x=(WIDE + 6.0) y=(y(preview.peak_instances) + 4.0) { (preview.peak_instances) }
                @if end != preview.peak_instances { text x=(WIDE + 6.0) y=(y(end) + 4.0) { (end) } }
                text x="0" y=(HIGH + 14.0) { "now" }
                text.end x=(WIDE) y=(HIGH + 14.0) { (length(preview.expected_ms)) }
            }
            figcaption.small.soft { (label) ". Numbers above are steps." }
        }
        (table(preview))
    }
}

/// Each step with its number, from where to where it is drawn.
fn bands(preview: &Preview) -> Vec<(usize, f64, f64)> {
    let end = preview.expected_ms.max(1) as f64;
    let mut at = 0;
    let bands = preview.steps.iter().enumerate().map(|(index, step)| {
        let from = at;
        at += step.expected_ms;
        (index + 1, WIDE * from as f64 / end, WIDE * at as f64 / end)
    });
    bands.filter(|(_, from, until)| until > from).collect()
}

/// The same numbers, step by step.
fn table(preview: &Preview) -> Markup {
    let mut at = 0;
    html! {
        details {
            summary.small { "The same as a table" }
            div.scroll tabindex="0" role="region" aria-label="Instances as a table" {
                table.table {
                    thead { tr {
                        th scope="col" { "Step" }
                        th.num scope="col" { "Begins after" }
                        th.num scope="col" { "Takes" }
                        th.num scope="col" { "Instances at its end" }
                        th.num scope="col" { "Way back" }
                    } }
                    tbody { @for (index, step) in preview.steps.iter().enumerate() {
                        @let begin = at;
                        @let () = at += step.expected_ms;
                        tr {
                            th scope="row" { (index + 1) " " (step_name(&step.step)) }
                            td.num { (length(begin)) }
                            td.num { (length(step.expected_ms)) }
                            td.num { (running(preview, at)) }
                            td.num { (length(step.way_back_ms)) }
                        }
                    } }
                }
            }
        }
    }
}

/// How many instances run at a moment.
fn running(preview: &Preview, at_ms: u64) -> u32 {
    let points = preview.capacity.iter();
    let mut until_then = points.filter(|point| point.at_ms <= at_ms);
    until_then.next_back().map_or(0, |point| point.instances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_becomes_levels_without_gaps() {
        let point = |at_ms, instances| CapacityPoint { at_ms, instances };
        let curve = [point(0, 4), point(0, 8), point(500, 6), point(1000, 4)];
        let level = |from, until, instances| Level {
            from,
            until,
            instances,
        };
        assert_eq!(
            levels(&curve, 1000, 100.0),
            [level(0.0, 50.0, 8), level(50.0, 100.0, 6)]
        );
        assert_eq!(levels(&[], 0, 100.0), []);
    }

    #[test]
    fn instance_time_has_a_unit_that_people_know() {
        for (ms, text) in [
            (0, "nothing"),
            (999, "nothing"),
            (40_000, "40 instance-seconds"),
            (3_600_000, "60 instance-minutes"),
        ] {
            assert_eq!(extra(ms), text);
        }
    }
}
