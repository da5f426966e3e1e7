// Make calls with npm's fhir-kit-client, one after the other.
//
// usage: node fhir_kit.mjs FOLDER BASE_URL TOKEN < calls.json
// FOLDER holds node_modules; TOKEN may be empty. In: [["create", {resourceType, body}], ...]. Out: one object a call,
// {"status", "body", "headers"}, or {"status", "body", "error"} where the client threw.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, baseUrl, token] = process.argv.slice(2);
const entry = join(resolve(folder), 'node_modules', 'fhir-kit-client', 'dist', 'index.js');
const { Client } = await import(pathToFileURL(entry));
const client = new Client({ baseUrl });
if (token) client.bearerToken = token;

async function made([name, given]) {
  try {
    const body = await client[name](given);
    const { response } = Client.httpFor(body);
    return { status: response.status, body, headers: Object.fromEntries(response.headers) };
  } catch (error) {
    if (!error.response) throw error; // a fault of the client, not an answer
    return { status: error.response.status, body: error.response.data, error: error.message };
  }
}

const answers = [];
for (const call of JSON.parse(readFileSync(0, 'utf8'))) answers.push(await made(call));
process.stdout.write(JSON.stringify(answers));
