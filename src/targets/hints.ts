/** Issue code → how an author mends the description. Every code that an import reports has its line here. */
const hints: ReadonlyMap<string, string> = new Map([
  // the document
  [
    'bad_description',
    'Mend what the message names and check again; `npx @redocly/cli lint FILE` shows the structure in full.',
  ],
  ['over_limit', 'Make it smaller, or split it into several descriptions, each of them a target.'],
  [
    'invalid_document',
    'Give the document the members that its version requires: `info` with `title` and `version`, `paths`.',
  ],
  ['yaml_indentation', 'Indent this line deeper than the key that it belongs to.'],
  ['yaml_syntax', 'Write this as YAML 1.2 has it: quote the text, or take out what the message names.'],
  // overlays and overrides
  [
    'overlay_no_match',
    'Correct the action’s `target` (JSONPath, RFC 9535), or remove the action; other actions are not affected.',
  ],
  ['overlay_no_change', 'Give the action an `update` or `remove: true`, or take it out of the overlay.'],
  ['overlay_extends', 'Check that this overlay belongs to this description; correct its `extends` or remove it.'],
  [
    'override_no_match',
    'Name the operation by its `operationId` or as `METHOD /path`, and arguments as the tool shows them.',
  ],
  // paths and operations
  ['invalid_path', 'Begin the path with `/`; something that is no path belongs under a key that begins with `x-`.'],
  [
    'fragment',
    'Take `#…` out of the path. To tell variants of one path apart, describe them as one operation whose body is a `oneOf`.',
  ],
  ['operation_id', 'Give each of these operations an `operationId` of its own; its tool is then called after it.'],
  // references
  [
    'dangling_ref',
    'Add what the `$ref` names under `components` (`definitions` in Swagger 2.0), or correct its spelling.',
  ],
  [
    'external_ref',
    'Bundle the description into one file first, for example with `npx @redocly/cli bundle FILE -o OUT`.',
  ],
  ['ring_ref', 'One of the references in this circle has to be a schema of its own instead of a `$ref`.'],
  // parameters
  [
    'invalid_parameter',
    'Give the parameter a `name` and an `in` (path, query, header, cookie), or correct its `$ref`.',
  ],
  [
    'swagger_keywords',
    'Move `type` and its like into `schema`; describe a body under `requestBody`. `npx swagger2openapi` does both.',
  ],
  ['undeclared_parameter', 'Declare it under `parameters`, with `in: path`, `required: true` and a `schema`.'],
  [
    'unused_parameter',
    'Put `{name}` into the path, or remove the parameter; if the API takes it elsewhere, correct its `in`.',
  ],
  [
    'reserved_header',
    'Remove the parameter. A fixed header is set with `headers.set`, one of the caller’s is let through with `headers.forwardRequest`, a credential is a `credential`.',
  ],
  [
    'credential_parameter',
    'Nothing needs mending. Describe it as a security scheme instead of a parameter, and this is silent.',
  ],
  // bodies, schemas, answers
  ['invalid_body', 'Correct the `$ref` of the request body, or describe the body here.'],
  [
    'content_type',
    'Choose one of the media types named here as `contentType`, or describe the body in the one that is asked for.',
  ],
  ['enum_dropped', 'Describe so many values as a `pattern`, or in words: no model chooses from such a list.'],
  [
    'json_assumed',
    'Describe the body under `application/json`, or as `type: string, format: binary` where it is one file.',
  ],
  ['pattern_dropped', 'Write the `pattern` as ECMA-262 has it: no `(?i)`, no `\\A`, no possessive quantifiers.'],
  [
    'output_too_large',
    'Describe the answer with fewer levels, or leave it: the answer itself comes through, only its schema is not shown.',
  ],
  // Lambda functions
  [
    'lambda_tool',
    'Give each tool a `name` of its own, of 1 to 128 letters, digits and `_-.`, with its `inputSchema` beside it.',
  ],
  ['lambda_schema', 'Mend the tool’s `inputSchema`: JSON Schema 2020-12 of an object, without what is named here.'],
  ['lambda_description', 'Give the tool a `description` that says what it does and when it is of use.'],
  [
    'lambda_function',
    'Correct what the file says of its function, or say it in the configuration: `targets.NAME.lambda`.',
  ],
  [
    'lambda_endpoint',
    'Set `targets.NAME.lambda.endpoint` (or `server`) in the configuration: where AWS credentials sign is the operator’s to say.',
  ],
  [
    'lambda_role',
    'Set `targets.NAME.lambda.roleArn` in the configuration: which role is assumed is the operator’s to say.',
  ],
  // MCP servers
  ['templates_many', 'Let the server list fewer resource templates: one with an expression stands for many resources.'],
  ['tool_name', 'Give the tool a name of its own at the server, of 1 to 128 letters, digits and `_-.`.'],
  [
    'tool_schema',
    'Mend the tool’s `inputSchema` at the server: JSON Schema 2020-12 of an object, without what is named here.',
  ],
  [
    'task_required',
    'Let the tool be called without a task as well: `execution.taskSupport` of `optional` or `forbidden`.',
  ],
  [
    'root_combinator',
    'Nothing needs mending. Describe the arguments as one flat object, and what the tool takes is shown more exactly.',
  ],
  ['output_schema', 'Describe the output as an object, or leave it: the answer itself comes through all the same.'],
  [
    'offer_invalid',
    'Give each prompt a `name`, each resource a `uri`, each template a `uriTemplate` of its own at the server.',
  ],
  // Smithy models
  ['missing_shape', 'Put the shape that is named here into the model; `smithy ast` writes one with all it needs.'],
  ['shape_circle', 'Take the shape out of the mixins of its own mixins.'],
  [
    'unread_operation',
    'Nothing needs mending, where it streams; otherwise give the operation what the message names in the model.',
  ],
  ['several_services', 'Make a model of each service, each of them a target.'],
  ['no_endpoint', 'Set the target’s `serverVariables: {region: …}`, or its `server`.'],
  ['signing_name', 'Nothing needs mending: give the target a credential of kind `sigv4` for this service.'],
])

export const hintFor = (code: string): string | undefined => hints.get(code)
