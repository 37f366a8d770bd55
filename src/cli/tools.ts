/** `toolgate tools`: the catalogue that the configuration and the folder make, as a table or as MCP definitions. */
import { createImporter } from '../config/importer.ts'
import { loadSettings } from '../config/load.ts'
import { readManaged } from '../config/managed.ts'
import { findSources } from '../config/sources.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { describedOf, importDocument } from './check.ts'
import { definitions, table } from './print.ts'

export interface ToolsOptions {
  readonly config?: string
  readonly target?: string
  readonly json?: boolean
}

export async function tools(options: ToolsOptions): Promise<void> {
  const settings = loadSettings(options.config, 'left')
  const all = findSources(settings, readManaged(settings.dataDir))
  const sources = options.target === undefined ? all : all.filter(({ name }) => name === options.target)
  if (sources.length === 0 && options.target !== undefined)
    throw new GatewayError('bad_config', { words: `There is no target ${options.target}.` })
  const importer = createImporter(systemClock)
  const found = []
  for (const source of describedOf(sources)) {
    const result = await importDocument(importer, { ...source, source: source.path })
    if (result.ok) found.push(...definitions(result.reply.tools).map((tool) => ({ ...tool, target: source.name })))
    else {
      process.stderr.write(`${source.name}: ${result.issue.message}\n`)
      process.exitCode = 1
    }
  }
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ tools: found.map(({ definition }) => definition) }, null, 2)}\n`
      : table(
          ['TOOL', 'TARGET', 'OPERATION', 'TITLE'],
          found.map(({ definition, operation, target }) => [
            definition.name,
            target,
            operation,
            definition.title ?? '',
          ]),
        ),
  )
}
