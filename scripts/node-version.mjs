// Imported first by every entry script: an older Node would fail later with words that help nobody. It has no imports and
// no new syntax, so that old versions get as far as this line.
const needed = 20;
if (Number(process.versions.node.split(".")[0]) < needed) {
  console.error(
    `Node ${process.versions.node} (${process.execPath}) is too old: wingbeat needs Node ${needed} or newer.\n` +
      `  remedy: install Node ${needed} or newer and run the same command again`,
  );
  process.exit(1);
}
