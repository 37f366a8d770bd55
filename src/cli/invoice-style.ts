/** The one stylesheet of a printed statement: A4, system fonts, black on white wherever it is opened. */

export const invoiceStyle = `
@page { size: A4; margin: 16mm 16mm 18mm; }
:root { color-scheme: light; --text: #16181d; --soft: #5a6172; --line: #d9dce3; --tint: #f5f6f9; --accent: #24408e; }
*, ::before, ::after { box-sizing: border-box; }
body {
  margin: 0; padding: 2rem 1rem; background: #eceef2; color: var(--text);
  font: 10pt/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
main { max-width: 210mm; min-height: 297mm; margin: 0 auto; padding: 16mm; background: #fff; box-shadow: 0 1px 3px #0002, 0 12px 40px #0001; }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 2rem; padding-bottom: 5mm; border-bottom: 1.5pt solid var(--accent); }
h1 { margin: 0; font-size: 20pt; line-height: 1.15; letter-spacing: -.01em; font-weight: 650; }
header p { margin: .8mm 0 0; font-size: 12pt; color: var(--soft); }
.due { text-align: right; }
.due span { display: block; color: var(--soft); font-size: 9pt; }
.due strong { font-size: 17pt; line-height: 1.15; font-variant-numeric: tabular-nums; white-space: nowrap; }
.note { margin: 4mm 0 0; padding: 2.2mm 3.5mm; background: #fdf5e3; border-left: 2.5pt solid #b98900; break-inside: avoid; }
dl { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.6mm 8mm; margin: 5mm 0 0; }
dl > div { display: grid; grid-template-columns: 22mm minmax(0, 1fr); }
dt { color: var(--soft); }
dd { margin: 0; font-weight: 550; }
bdi { overflow-wrap: anywhere; }
section { margin-top: 5.5mm; }
h2 { margin: 0 0 1.5mm; font-size: 11.5pt; font-weight: 650; break-after: avoid; }
h3 { margin: 2.5mm 0 .8mm; font-size: 9.5pt; font-weight: 600; color: var(--soft); break-after: avoid; }
table { width: 100%; border-collapse: collapse; font-size: 9pt; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
th { text-align: left; font-weight: 600; }
thead th { padding: 1.1mm 2.5mm; background: var(--tint); color: var(--soft); border-bottom: .6pt solid var(--line); white-space: nowrap; }
td, tfoot th { padding: .9mm 2.5mm; border-bottom: .6pt solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tfoot { display: table-row-group; }
tfoot th, tfoot td { border-bottom: 0; border-top: 1.2pt solid var(--text); font-weight: 650; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; padding-left: 6mm; }
small { display: block; font-size: 8pt; color: var(--soft); }
.short { white-space: nowrap; }
.prices td:nth-child(2) { width: 40%; }
.none { color: var(--soft); text-align: center; padding: 4mm; }
footer { margin-top: 8mm; padding-top: 2.5mm; border-top: .6pt solid var(--line); color: var(--soft); font-size: 8pt; break-inside: avoid; }
@media print {
  body { padding: 0; background: #fff; }
  main { max-width: none; min-height: 0; margin: 0; padding: 0; box-shadow: none; }
}
@media screen and (max-width: 44rem) {
  body { padding: 0; } main { padding: 1.25rem; min-height: 0; }
  dl { grid-template-columns: minmax(0, 1fr); } header { flex-wrap: wrap; }
}
`
