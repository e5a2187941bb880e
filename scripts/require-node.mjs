// Says what to do when the Node that runs this is too old; plain syntax, so that any Node can say it.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 24 || (major === 24 && minor < 21)) {
  console.error(
    `Holdfast is built and tested on Node 24.21 or newer; this is ${process.versions.node}.\n` +
      'A clone brings its own: run "npm install" again without --ignore-scripts, so that the\n' +
      'development dependency "node" can put its binary into node_modules/.bin, then use the npm scripts.',
  )
  process.exit(1)
}
