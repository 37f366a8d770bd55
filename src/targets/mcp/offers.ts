/** Prompts, resources and templates of an MCP server, each checked, bounded and in the server's own words. */
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Offers } from '../adapter.ts'
import { prose } from '../openapi/keywords.ts'
import { at, isNode, listAt, member, type Node, nodeAt, textAt } from '../openapi/tree.ts'
import type { Tell } from './issues.ts'
import type { Listing } from './listing.ts'
import { isName } from './tools.ts'

type Definition = { readonly [member: string]: Json }

export function readOffers({ prompts, resources, templates, capabilities }: Listing, issue: Tell): Offers {
  const each = <T extends Definition>(
    list: readonly unknown[],
    kind: string,
    key: keyof T & string,
    read: (item: Node) => T | undefined,
  ): T[] => {
    const kept = new Map<Json | undefined, T>()
    list.forEach((item, index) => {
      const offer = isNode(item) ? read(item) : undefined
      if (offer !== undefined && !kept.has(offer[key])) kept.set(offer[key], offer)
      else
        issue(
          'warning',
          'offer_invalid',
          at(`/${kind}`, index),
          `It has no ${key} of its own that can be used. It is left out.`,
        )
    })
    return [...kept.values()]
  }
  if (templates.length > limits.mcpTemplates)
    issue(
      'warning',
      'templates_many',
      '/resourceTemplates',
      `There are more than ${limits.mcpTemplates} templates. The rest is left out.`,
    )
  return {
    prompts: each(prompts, 'prompts', 'name', readPrompt),
    resources: each(resources, 'resources', 'uri', readResource),
    templates: each(templates.slice(0, limits.mcpTemplates), 'resourceTemplates', 'uriTemplate', readTemplate),
    completions: isNode(member(capabilities, 'completions')),
    subscribe: member(nodeAt(capabilities, 'resources'), 'subscribe') === true,
  }
}

function readPrompt(item: Node): Offers['prompts'][number] | undefined {
  const name = member(item, 'name')
  if (!isName(name)) return undefined
  const list = listAt(item, 'arguments')
    .filter((argument) => isName(member(argument, 'name')))
    .slice(0, limits.mcpPromptArguments)
    .map(
      (argument): Json => ({
        name: textAt(argument, 'name') ?? '',
        ...words(argument),
        ...(member(argument, 'required') === true ? { required: true } : {}),
      }),
    )
  return { name, ...words(item), ...(list.length === 0 ? {} : { arguments: list }), ...iconsOf(item) }
}

function readResource(item: Node): Offers['resources'][number] | undefined {
  const uri = textAt(item, 'uri')
  const size = member(item, 'size')
  if (uri === undefined || !isUri(uri) || !URL.canParse(uri)) return undefined
  return {
    uri,
    ...named(item, uri),
    ...(Number.isSafeInteger(size) && Number(size) >= 0 ? { size: Number(size) } : {}),
  }
}

/** Every URI that is read is held against every template, so that these have few parts. */
function readTemplate(item: Node): Offers['templates'][number] | undefined {
  const uriTemplate = textAt(item, 'uriTemplate')
  if (uriTemplate === undefined || !isUri(uriTemplate) || uriTemplate.split('{').length > limits.mcpTemplateParts)
    return undefined
  return { uriTemplate, ...named(item, uriTemplate) }
}

/** A URI or a template of one (RFC 6570): visible, and short enough to be one. */
const isUri = (text: string): boolean =>
  text.length <= limits.mcpUriChars && text.isWellFormed() && /^[a-z][a-z0-9+.-]{0,63}:[^\p{Cc}\p{Cf}\s]*$/iu.test(text)

function named(item: Node, uri: string): Definition {
  const name = member(item, 'name')
  const mimeType = textAt(item, 'mimeType')
  return {
    name: isName(name) ? name : uri.slice(0, limits.toolNameBytes),
    ...words(item),
    ...(mimeType !== undefined && /^[\x20-\x7e]{1,255}$/.test(mimeType) ? { mimeType } : {}),
    ...annotationsOf(item),
    ...iconsOf(item),
  }
}

function words(item: unknown): Definition {
  const title = prose(member(item, 'title'), limits.titleChars)
  const description = prose(member(item, 'description'), limits.descriptionChars)
  return { ...(title === undefined ? {} : { title }), ...(description === undefined ? {} : { description }) }
}

/** MCP `Annotations`: for whom, how important, how new. */
function annotationsOf(item: Node): Definition {
  const source = nodeAt(item, 'annotations')
  const audience = listAt(source, 'audience').filter((who): who is string => who === 'user' || who === 'assistant')
  const priority = member(source, 'priority')
  const modified = textAt(source, 'lastModified')
  const annotations: Definition = {
    ...(audience.length === 0 ? {} : { audience }),
    ...(typeof priority === 'number' && priority >= 0 && priority <= 1 ? { priority } : {}),
    ...(modified !== undefined && /^[\d:.TZ+-]{4,40}$/.test(modified) ? { lastModified: modified } : {}),
  }
  return Object.keys(annotations).length === 0 ? {} : { annotations: { ...annotations } }
}

/** MCP `Icon`: only what a client may load without harm, by https or in place. */
function iconsOf(item: Node): Definition {
  const icons = listAt(item, 'icons')
    .slice(0, limits.mcpIcons)
    .flatMap((icon): Json[] => {
      const src = textAt(icon, 'src')
      if (
        src === undefined ||
        src.length > limits.mcpIconChars ||
        !/^(?:https:\/\/|data:image\/)[\x21-\x7e]+$/.test(src)
      )
        return []
      const mimeType = textAt(icon, 'mimeType')
      const sizes = listAt(icon, 'sizes').filter(
        (size): size is string => typeof size === 'string' && /^(?:any|\d{1,5}x\d{1,5})$/.test(size),
      )
      return [
        {
          src,
          ...(mimeType !== undefined && /^[\w./+-]{1,64}$/.test(mimeType) ? { mimeType } : {}),
          ...(sizes.length === 0 ? {} : { sizes }),
        },
      ]
    })
  return icons.length === 0 ? {} : { icons }
}
