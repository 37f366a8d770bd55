/**
 * What each model provider wants of a tool's definition, as far as it is published: a tool that one of them refuses
 * fails the whole request that carries it. Nothing here is asked of a provider; each rule names its source.
 */
import {
  description,
  draft2020,
  enums,
  itemsEverywhere,
  keys,
  knownKeywords,
  loneRefs,
  name,
  optionalCycles,
  refsAtAll,
  type Remark,
  rename,
  rootKeywords,
  rootType,
  type Rule,
  type Severity,
  strictMode,
} from './provider-rules.ts'
import type { ToolDefinition } from './tool.ts'

export const providers = ['anthropic', 'openai', 'gemini', 'bedrock'] as const
export type Provider = (typeof providers)[number]

export const isProvider = (word: string): word is Provider => providers.some((provider) => provider === word)

export interface Finding extends Remark {
  readonly provider: Provider
  /** Empty where a rule is about all tools together. */
  readonly tool: string
}

/** Of the documentation of `responseJsonSchema`, which `parametersJsonSchema` shares. */
const geminiKeywords = new Set(
  '$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties additionalProperties required propertyOrdering'.split(
    ' ',
  ),
)

const combinators = ['oneOf', 'anyOf', 'allOf']

const rules: Readonly<Record<Provider, readonly Rule[]>> = {
  anthropic: [
    // Documented as {1,64} (platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools); the API itself
    // refuses with '^[a-zA-Z0-9_-]{1,128}$' (github.com/anthropics/claude-code, reports of 2025 and 2026).
    name('error', /^[a-zA-Z0-9_-]{1,128}$/, '1 to 128 characters of a–z, A–Z, 0–9, `_`, `-`'),
    name('warning', /^.{0,64}$/s, 'at most 64 characters, as the documentation has it'),
    // 400 "input_schema does not support oneOf, allOf, or anyOf at the top level"
    // (github.com/anthropics/claude-code/issues/5973, /40075)
    rootKeywords('error', combinators),
    rootType,
    // 400 "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'" (github.com/anthropics/claude-code/issues/79418);
    // checked on the arguments only (github.com/decocms/studio/pull/6874).
    keys('error', 'warning'),
    // 400 "JSON schema is invalid. It must match JSON Schema draft 2020-12" (github.com/anthropics/claude-code/issues/63673)
    draft2020,
    // "by far the most important factor in tool performance" (define-tools, as above)
    description('warning', (text) => text.trim() !== '', 'The tool has no description.'),
  ],
  openai: [
    // "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64"
    // (platform.openai.com/docs/api-reference/chat/create, FunctionDefinition)
    name('error', /^[a-zA-Z0-9_-]{1,64}$/, '1 to 64 characters of a–z, A–Z, 0–9, `_`, `-`'),
    // 400 "Expected a string with maximum length 1024" (github.com/getsentry/sentry-mcp/issues/106)
    description('error', (text) => Array.from(text).length <= 1_024, 'The description has more than 1,024 characters.'),
    // 400 "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level"
    // (github.com/langchain-ai/langchainjs/issues/9804)
    rootType,
    rootKeywords('error', [...combinators, 'enum', 'not']),
    // 400 "array schema missing items" (github.com/modelcontextprotocol/modelcontextprotocol/issues/410)
    itemsEverywhere,
    // developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas"
    strictMode,
  ],
  gemini: [
    // 400 "Must start with a letter or an underscore. Must be a-z, A-Z, 0-9, or contain underscores (_), dots (.),
    // colons (:), or dashes (-), with a maximum length of 64" (github.com/kaitranntt/ccs/issues/25)
    name(
      'error',
      /^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/,
      'a letter or `_`, then up to 63 of a–z, A–Z, 0–9, `_`, `.`, `:`, `-`',
    ),
    rootType,
    // 400 "items: missing field" (github.com/DEEIX-AI/DEEIX-Chat/issues/546)
    itemsEverywhere,
    // cloud.google.com/vertex-ai/docs/reference/rest/v1/GenerationConfig, responseJsonSchema; the API takes `description`
    // and `default` beside a reference (github.com/anomalyco/opencode/issues/12295)
    loneRefs,
    optionalCycles,
    knownKeywords(
      'warning',
      'ignored-keywords',
      new Set([...geminiKeywords, 'default']),
      'Gemini does not read',
      'Say in the description what these keywords say; the gateway checks them all the same.',
    ),
    enums(
      'warning',
      'enum-type',
      (value) => typeof value !== 'string' && typeof value !== 'number',
      'An `enum` value is neither a text nor a number.',
      'Leave `enum` out there and give the `type`.',
    ),
    // 400 "enum[1]: cannot be empty", for the field `parameters` (github.com/Bobsilvio/ha-claude/pull/32)
    enums(
      'warning',
      'enum-empty',
      (value) => value === '',
      'An `enum` value is empty.',
      'Make the property optional instead.',
    ),
    // ai.google.dev/api/caching, FunctionDeclaration: `parameters` is a subset of OpenAPI 3.0 schemas
    refsAtAll,
  ],
  bedrock: [
    // docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html
    name('error', /^[a-zA-Z0-9_-]{1,64}$/, '1 to 64 characters of a–z, A–Z, 0–9, `_`, `-`'),
    description('error', (text) => text.length >= 1, 'The description is empty.'),
    // "The top level schema type must be object" (…/API_runtime_ToolInputSchema.html)
    rootType,
    // The models behind Converse keep their own rules: Anthropic's, as above.
    rootKeywords('warning', combinators),
    keys('warning', 'warning'),
  ],
}

/** What a provider has against one tool; nothing when it takes the tool as it is. */
export const lint = (definition: ToolDefinition, provider: Provider): Finding[] =>
  rules[provider].flatMap((rule) =>
    [...rule(definition)].map((found) => ({ provider, tool: definition.name, ...found })),
  )

/** Most tools that a request may carry: where it is refused, and where the documentation advises to stop. */
const counts: Readonly<
  Record<Provider, { readonly error?: number; readonly warning?: number; readonly note?: number }>
> = {
  // "Claude's ability to pick the right tool degrades once you exceed 30–50" (platform.claude.com/docs, tool-search-tool)
  anthropic: { note: 50 },
  // 400 "Expected an array with maximum length 128" (github.com/zed-industries/zed/issues/32946)
  openai: { error: 128 },
  // 400 "At most 512 function declarations can be specified" (github.com/google-gemini/gemini-cli/issues/19083);
  // documented as 128 (docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/function-calling)
  gemini: { error: 512, warning: 128 },
  bedrock: {},
}

/** What a provider has against tools of these names in one request: too many of them, or two of one name. */
export function lintSet(names: readonly string[], provider: Provider): Finding[] {
  const found: Finding[] = []
  const set = (severity: Severity, rule: string, message: string, hint: string): number =>
    found.push({ provider, tool: '', pointer: '', severity, rule, message, hint })
  const bounds = counts[provider]
  const passed = (['error', 'warning', 'note'] as const).find((level) => names.length > (bounds[level] ?? Infinity))
  if (passed !== undefined)
    set(
      passed,
      'tool-count',
      `There are ${names.length} tools; ${passed === 'error' ? 'a request takes at most' : 'advised are at most'} ${bounds[passed]}.`,
      'Choose with `tools.include`, or serve a part of the catalogue as one of the `views`.',
    )
  const seen = new Set<string>()
  const twice = new Set(names.filter((tool) => seen.size === seen.add(tool).size))
  for (const tool of twice) set('error', 'unique-names', `Two tools are called ${tool}.`, rename)
  return found
}

/** `lint` for every tool, then `lintSet` for all of them. */
export const lintAll = (definitions: readonly ToolDefinition[], provider: Provider): Finding[] => [
  ...definitions.flatMap((definition) => lint(definition, provider)),
  ...lintSet(
    definitions.map((definition) => definition.name),
    provider,
  ),
]
