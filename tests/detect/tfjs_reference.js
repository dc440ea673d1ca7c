// Runs a TensorFlow.js graph model; used by tfjs_reference.py.
// node tfjs_reference.js FOLDER MODEL.json < {"input", "shape", "values", "outputs"} > arrays as JSON
const fs = require('fs');
const path = require('path');
const {createRequire} = require('module');

const [folder, file] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(folder), 'package.json'));
console.log = console.warn = () => {};  // advice, not results
const tf = load('@tensorflow/tfjs-core');
load('@tensorflow/tfjs-backend-cpu');
const {loadGraphModel} = load('@tensorflow/tfjs-converter');

const content = JSON.parse(fs.readFileSync(file));
const groups = content.weightsManifest;
const names = groups.flatMap(group => group.paths);
const weights = Buffer.concat(names.map(name => fs.readFileSync(path.join(path.dirname(file), name))));
const source = {
  modelTopology: content.modelTopology,
  weightSpecs: groups.flatMap(group => group.weights),
  weightData: Uint8Array.from(weights).buffer,
};

async function main() {
  const request = JSON.parse(fs.readFileSync(0));
  const model = await loadGraphModel({load: async () => source});
  const input = tf.tensor(request.values, request.shape, 'float32');
  const results = [model.execute({[request.input]: input}, request.outputs)].flat();
  const shown = results.map(each => ({shape: each.shape, values: Array.from(each.dataSync())}));
  process.stdout.write(JSON.stringify(shown));
}
main();
