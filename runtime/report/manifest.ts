/** The manifest as the page's last section. */
import type { Manifest } from "./document.js";
import { formatNumber } from "./numbers.js";
import { type Html, html } from "./text.js";

export function manifestList(manifest: Manifest): Html {
  const { machine } = manifest;
  const entries: [string, Html | string][] = [
    ["Command", html`<code>${manifest.command.map(quoted).join(" ")}</code>`],
    ["Version", manifest.commit === null ? manifest.version : `${manifest.version}, commit ${manifest.commit}`],
    ["Started", html`<time datetime="${manifest.started}">${manifest.started}</time>`],
    ["Ended", html`<time datetime="${manifest.ended}">${manifest.ended}</time>`],
    ["Seed", String(manifest.seed)],
    ["Configuration", html`<code>${manifest.config_hash}</code>`],
    ["Files", list(manifest.files.map(({ path, sha256 }) => html`${path}<br><code>sha256:${sha256}</code>`))],
    ["Host", machine.hostname],
    [
      "Processor",
      `${machine.cpu}, ${machine.cores} ${machine.cores === 1 ? "core" : "cores"}${machine.virtual ? ", virtual machine" : ""}`,
    ],
    ["Memory", `${formatNumber(machine.memory_bytes / 2 ** 30, 1)} GiB`],
    ["System", `${machine.os}, kernel ${machine.kernel}, Node ${machine.node}`],
    ["Frequency governor", machine.governor ?? "not said by this machine"],
    ["Load average", machine.load_average.map((load) => formatNumber(load, 2)).join(", ")],
    [
      "Devices",
      list(manifest.devices.map(({ name, emulated, detail }) => `${name}${emulated ? " (emulated)" : ""}: ${detail}`)),
    ],
    ["Libraries", list(manifest.libraries.map(({ name, version }) => `${name} ${version}`))],
    ["Energy meters", list(manifest.meters.map(({ name, provenance, note }) => `${name} (${provenance}): ${note}`))],
    ["Warnings", list(manifest.warnings)],
  ];
  return html`<dl>${entries.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>\n`)}</dl>`;
}

function list(items: readonly (Html | string)[]): Html | string {
  return items.length === 0 ? "none" : html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;
}

/** As a shell takes it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
