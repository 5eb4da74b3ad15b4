"""Readers of measurement files: one small module a format, all with one interface.

A module holds one `Reader` or several (`perfmodel.measurements.readers.results.Reader`):

- `name`: the format in words, as messages and docs/formats.md write it;
- `recognise(source) -> bool`: whether a `SourceText` is of this format, by its content. It raises
  nothing, takes linear time, and says no to every other reader's sample. `source.lines` are the
  lines of a log without the prefixes of logcat, syslog and the like, `source.log` the same as one
  text, `source.value` the parsed JSON or None;
- `read(source) -> ReadResult`: the rows, `log_result(rows, source, bad=, left_out=)`; raises
  `MeasurementError` (`bad_input(path, line, reason, hint)`) for a file that cannot be read right,
  a truncated one among them.

`perfmodel.measurements.readers.listed.READERS` is the list; the first that recognises a file reads
it. A new format is a module, a line of that list, a sample of our own writing in
tests/measurements/samples for each dialect, and a section of docs/formats.md.

A row is a mapping of column names (`perfmodel.measurements.columns`) to values, and `line`, where
it stands. The six facets (unit, framework, precision, threads, batch, kind) are given as
`Said(value, where)`, made by `in_log(value, line)`, `in_command(value)`, `by_name(value, name)` or
`by_tool(value)` of `perfmodel.measurements.evidence`; a facet that nothing states is left out of
the row, and `perfmodel.measurements.read` then takes it from an option or asks for it. `by_tool` is
for what holds for every run of the tool (benchncnn runs ncnn), never for what is merely usual. The
precision that the model's name states is filled in for all readers at one place; a reader with
another precision to state asks `precision_of_name` first. `by_default(value, why)` is for the
documented default of a tool that prints what it is told otherwise; an option overrules it.

`latency_ms` makes a row of a network, `latency_us` one of a kernel, `tokens_per_s` one of a
language model's rate, whose kind is `prefill` or `decode` and whose `tokens` are those of a run;
`calibrate` leaves rates out and says so.
"""
