/** What MCP servers offer besides tools, as clients of the gateway see it: prompts by prefixed names, resources by their URIs. */
import { versionOf } from '../core/hash.ts'
import type { Json, Target } from '../core/model.ts'
import type { Offers } from '../targets/adapter.ts'
import { toMatcher } from './pattern.ts'
import { toolName } from './tool.ts'
import type { ToolRules, Unknown } from './tools.ts'

type Definition = { readonly [member: string]: Json }

/** The offers of one target, chosen and named. Plain data: made in the import thread. */
export interface OfferSet {
  /** `name` is the prompt's as clients say it, `own` as its server does. */
  readonly prompts: readonly { readonly name: string; readonly own: string; readonly definition: Definition }[]
  readonly resources: readonly { readonly uri: string; readonly name: string; readonly definition: Definition }[]
  readonly templates: readonly {
    readonly uriTemplate: string
    readonly name: string
    readonly definition: Definition
  }[]
  readonly completions: boolean
  readonly subscribe: boolean
}

/** An override of `tools.override` is of a prompt when its key is `prompt NAME`. */
const promptKey = (name: string): string => `prompt ${name}`

/** The rules without those that speak of prompts and resources. */
export const ofTools = (rules: ToolRules): ToolRules => {
  const isOfTool = (name: string): boolean => !/^(?:prompt|resource) /.test(name)
  return {
    ...rules,
    include: rules.include.filter(isOfTool),
    exclude: rules.exclude.filter(isOfTool),
    override: new Map([...rules.override].filter(([name]) => isOfTool(name))),
  }
}

/**
 * Chosen by the target's own rules, as `prompt NAME` and `resource URI`: what an `exclude` matches is out; an `include`
 * chooses among prompts, or among resources, only where it speaks of them.
 */
export function toOffers(target: string, offers: Offers, rules: ToolRules, unknown: Unknown): OfferSet {
  for (const key of rules.override.keys())
    if (key.startsWith(promptKey('')) && !offers.prompts.some(({ name }) => promptKey(name) === key))
      unknown(`tools.override names ${key}, and there is no such prompt.`)
  const isChosen = toChoice(rules)
  const nameIn = (definition: Definition): string => {
    const { name } = definition
    return toolName(target, typeof name === 'string' ? name : '')
  }
  return {
    ...offers,
    prompts: offers.prompts
      .filter(({ name }) => isChosen('prompt', name))
      .map((prompt) => {
        const { name, title, description } = rules.override.get(promptKey(prompt.name)) ?? {}
        const exposed = name ?? toolName(target, prompt.name)
        const words = {
          ...(title === undefined ? {} : { title }),
          ...(description === undefined ? {} : { description }),
        }
        return { name: exposed, own: prompt.name, definition: { ...prompt, ...words, name: exposed } }
      }),
    resources: offers.resources
      .filter(({ uri }) => isChosen('resource', uri))
      .map((definition) => ({ uri: definition.uri, name: nameIn(definition), definition })),
    templates: offers.templates
      .filter(({ uriTemplate }) => isChosen('resource', uriTemplate))
      .map((definition) => ({ uriTemplate: definition.uriTemplate, name: nameIn(definition), definition })),
  }
}

function toChoice({ include, exclude }: ToolRules): (kind: 'prompt' | 'resource', name: string) => boolean {
  const among = (patterns: readonly string[], kind: string) =>
    patterns
      .filter((pattern) => pattern.startsWith(`${kind} `))
      .map((pattern) => toMatcher(pattern.slice(kind.length + 1)))
  const rules = {
    prompt: [among(include, 'prompt'), among(exclude, 'prompt')],
    resource: [among(include, 'resource'), among(exclude, 'resource')],
  }
  return (kind, name) => {
    const [chosen = [], left = []] = rules[kind]
    return (chosen.length === 0 || chosen.some((matches) => matches(name))) && !left.some((matches) => matches(name))
  }
}

/** The offers of a target, bound to it. */
export interface BoundOffers {
  readonly target: Target
  readonly set: OfferSet
  /** Of targets with the same resource, that with the lowest number has it. */
  readonly priority: number
}

interface Place {
  readonly target: Target
  /** What access rules and views know it by. */
  readonly name: string
}

export interface OfferedPrompt extends Place {
  readonly own: string
  readonly definition: Definition
  readonly completions: boolean
}

export interface OfferedResource extends Place {
  readonly uri: string
  readonly definition: Definition
  readonly subscribe: boolean
}

export interface OfferedTemplate extends Place {
  readonly uriTemplate: string
  readonly definition: Definition
  readonly completions: boolean
  readonly subscribe: boolean
  matches(uri: string): boolean
}

/** All that the targets of a gateway offer besides tools; immutable. */
export class Offered {
  /** Some target is an MCP server, whatever it offers just now. */
  readonly isOffered: boolean
  /** Changes exactly when a prompt does. */
  readonly promptsVersion: string
  /** Changes exactly when a resource or a template does. */
  readonly resourcesVersion: string
  readonly prompts: readonly OfferedPrompt[]
  readonly resources: readonly OfferedResource[]
  readonly templates: readonly OfferedTemplate[]
  readonly #prompts: ReadonlyMap<string, OfferedPrompt>
  readonly #resources: ReadonlyMap<string, OfferedResource>

  constructor(bound: readonly BoundOffers[]) {
    const prompts = new Map<string, OfferedPrompt>()
    const resources = new Map<string, OfferedResource>()
    const templates = new Map<string, OfferedTemplate>()
    for (const { target, set } of bound.toSorted((a, b) => a.priority - b.priority)) {
      const { completions, subscribe } = set
      for (const prompt of set.prompts) keep(prompts, prompt.name, { ...prompt, target, completions })
      for (const resource of set.resources) keep(resources, resource.uri, { ...resource, target, subscribe })
      for (const template of set.templates)
        keep(templates, template.uriTemplate, {
          ...template,
          target,
          completions,
          subscribe,
          matches: toUriMatcher(template.uriTemplate),
        })
    }
    this.isOffered = bound.length > 0
    this.#prompts = prompts
    this.#resources = resources
    this.prompts = [...prompts.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    this.resources = [...resources.values()].toSorted((a, b) => (a.uri < b.uri ? -1 : 1))
    this.templates = [...templates.values()].toSorted((a, b) => (a.uriTemplate < b.uriTemplate ? -1 : 1))
    this.promptsVersion = versionOfAll(this.prompts)
    this.resourcesVersion = versionOfAll([...this.resources, ...this.templates])
  }

  prompt(name: string): OfferedPrompt | undefined {
    return this.#prompts.get(name)
  }

  /** By its URI, or by the first template that it fits. */
  resource(uri: string): OfferedResource | OfferedTemplate | undefined {
    return this.#resources.get(uri) ?? this.templates.find((template) => template.matches(uri))
  }

  template(uriTemplate: string): OfferedTemplate | undefined {
    return this.templates.find((template) => template.uriTemplate === uriTemplate)
  }
}

const versionOfAll = (offers: readonly { readonly definition: Definition }[]): string =>
  versionOf(offers.map(({ definition }) => Buffer.from(JSON.stringify(definition))))

/** The first of a name keeps it. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  if (!map.has(key)) map.set(key, value)
}

/**
 * Whether a URI can come of a template (RFC 6570): each expression stands for a run of characters, without `/` but for
 * the operators that may hold some (`+`, `#`, `/`). Which values it had is the server's to find out.
 */
function toUriMatcher(template: string): (uri: string) => boolean {
  const pattern = template
    .split(/\{([^{}]*)\}/)
    .map((part, index) => {
      // A text of the template is itself, also where it holds an asterisk: that stands for a run that may be itself.
      if (index % 2 === 0) return part
      return /^[+#/]/.test(part) || part.endsWith('*') ? '**' : '*'
    })
    .join('')
  return toMatcher(pattern)
}
