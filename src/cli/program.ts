/** The command line: one command a file, each loaded when it is asked for. */
import { Command, CommanderError, Option } from 'commander'
import { GatewayError } from '../core/errors.ts'
import { version } from './version.ts'

const configOption = (): Option =>
  new Option('--config <file>', 'the configuration (default: gateway.config.json here, if there is one)')

/** May come several times, and name several with commas. */
const providerOption = (): Option =>
  new Option(
    '--provider <name>',
    'hold the tools against what a model provider takes: anthropic, openai, gemini, bedrock, or all; may be repeated',
  ).argParser<readonly string[] | undefined>((names, before) => [...(before ?? []), ...names.split(',')])

const severalTimes = (flags: string, about: string): Option =>
  new Option(flags, about).argParser<readonly string[] | undefined>((one, before) => [...(before ?? []), one])

function program(): Command {
  const root = new Command('toolgate')
    .description('A self-hosted MCP gateway: APIs you have, as tools that agents call.')
    .version(version())
    .exitOverride()
    // what stands behind a command is that command’s, though the one above it has options of the same name
    .enablePositionalOptions()
  const command = (name: string, about: string, example: string): Command =>
    root.command(name).description(about).addOption(configOption()).addHelpText('after', `\nExample:\n  $ ${example}`)

  command('serve', 'run the gateway', 'toolgate serve --port 8080')
    .option('--port <n>', 'port of the public listener, in place of the configuration’s')
    .action(async (options) => (await import('./serve.ts')).serve(options))
  command('check', 'import descriptions without serving them', 'toolgate check specs/petstore.yaml --provider all')
    .argument('[files...]', 'descriptions; the configured targets when none is named')
    .option('--json', 'one JSON object a document, a line each')
    .addOption(providerOption())
    .option('--against <old>', 'tell what changed since this description, or since what --json printed')
    .action(async (files, options) => (await import('./check.ts')).check(files, options))
  command(
    'add',
    'check a description and register it, or make one of what is in AWS',
    'toolgate add petstore.yaml --server https://petstore.example.com/v2',
  )
    .argument('<source>', 'an OpenAPI description (file or URL), lambda:FUNCTION, or apigateway:REST-API-ID/STAGE')
    .option('--name <name>', 'the target’s name (default: made of the file’s, the function’s or the API’s)')
    .option('--credential <name>', 'one of the configuration’s credentials')
    .option('--server <url>', 'in place of the servers that the description names')
    .option('--region <region>', 'lambda, apigateway: where it is (default: as AWS’s own settings have it)')
    .option('--endpoint <url>', 'lambda, apigateway: in place of AWS’s own address')
    .option('--role <arn>', 'lambda, apigateway: the role to assume, to read what is there')
    .option('--qualifier <qualifier>', 'lambda: a version or an alias')
    .addOption(
      severalTimes('--filter <filter>', 'apigateway: "/pets/*:GET,POST", what is to be tools; may be repeated'),
    )
    .addOption(
      severalTimes(
        '--tool <tool>',
        'apigateway: "GET /pets/{petId}=get_pet:Look up a pet", name and description of one; may be repeated',
      ),
    )
    .option('--force', 'lambda, apigateway: replace the description that is there')
    .addHelpText(
      'after',
      '  $ toolgate add lambda:orders --region us-east-1\n  $ toolgate add apigateway:a1b2c3d4e5/prod --filter "/pets/*:GET"',
    )
    .action(async (source, options) => (await import('./add.ts')).add(source, options))
  command('approve', 'take the changed tools of a pinned target', 'toolgate approve petstore --held 0123456789abcdef')
    .argument('<target>', 'its name')
    .option('--held <hash>', 'only if this version is held; what `GET /api/targets` calls `held`')
    .action(async (target, options) => (await import('./approve.ts')).approve(target, options))
  command('tools', 'list the tools of the configured targets', 'toolgate tools --target petstore')
    .option('--target <name>', 'only this target’s')
    .option('--json', 'MCP tool definitions')
    .action(async (options) => (await import('./tools.ts')).tools(options))
  const grouped = (group: Command, name: string, about: string, example: string): Command =>
    group.command(name).description(about).addOption(configOption()).addHelpText('after', `\nExample:\n  $ ${example}`)
  const key = root.command('key').description('keys with which callers come')
  grouped(
    key,
    'create',
    'make a key, shown once',
    'toolgate key create --name ci --targets petstore --expires 2027-01-01',
  )
    .requiredOption('--name <name>', 'what the key is for')
    .option('--tenant <tenant>', 'whose key it is', 'default')
    .option('--scopes <scopes>', 'scopes that access rules may ask for; several with commas')
    .option('--targets <targets>', 'the only targets that it reaches; several with commas')
    .option('--expires <date>', 'YYYY-MM-DD or RFC 3339; never when left out')
    .option('--sigv4', 'an access key for AWS Signature Version 4')
    .option('--json', 'as JSON')
    .action(async (options) => (await import('./key.ts')).createKey(options))
  grouped(key, 'list', 'list the keys, never the keys themselves', 'toolgate key list')
    .option('--json', 'as JSON')
    .action(async (options) => (await import('./key.ts')).listKeys(options))
  grouped(key, 'revoke', 'end a key', 'toolgate key revoke 01J9ZQ4X')
    .argument('<id>', 'as `key list` shows it')
    .action(async (id, options) => (await import('./key.ts')).revokeKey(id, options))
  const connections = root.command('connections').description('users’ grants')
  grouped(connections, 'list', 'list them, never their tokens', 'toolgate connections list')
    .option('--tenant <tenant>', 'whose users’')
    .option('--json', 'as JSON')
    .action(async (options) => (await import('./connections.ts')).listConnections(options))
  grouped(connections, 'revoke', 'end one, at the vendor too', 'toolgate connections revoke ID')
    .argument('<id>', 'as `connections list` shows it')
    .option('--tenant <tenant>', 'whose user’s')
    .action(async (id, options) => (await import('./connections.ts')).revokeConnection(id, options))
  const secret = root.command('secret').description('secrets that the gateway keeps sealed')
  grouped(secret, 'set', 'keep one, read from standard input', 'toolgate secret set crm-key < key.txt')
    .argument('<name>', 'the configuration refers to it as {"vault": "NAME"}')
    .action(async (name, options) => (await import('./secret.ts')).setSecret(name, options))
  grouped(secret, 'list', 'list their names', 'toolgate secret list').action(async (options) =>
    (await import('./secret.ts')).listSecrets(options),
  )
  grouped(secret, 'remove', 'forget one', 'toolgate secret remove crm-key')
    .argument('<name>', 'its name')
    .action(async (name, options) => (await import('./secret.ts')).removeSecret(name, options))
  const vault = root.command('vault').description('what seals connections, access keys and secrets')
  grouped(vault, 'rotate', 're-seal everything under the current key', 'toolgate vault rotate')
    .option('--keep-keys', 'do not remove generated keys that nothing needs any more')
    .action(async (options) => (await import('./vault.ts')).rotateVault(options))
  command(
    'call',
    'call a tool of the running gateway, as an MCP client',
    `toolgate call toolgate___get_usage --args '{"by":["target"]}'`,
  )
    .argument('<tool>', 'the tool’s name')
    .option('--args <json>', 'arguments as JSON, or @FILE')
    .option('--url <url>', 'the MCP endpoint (default: the configuration’s); a key is taken from TOOLGATE_KEY')
    .option('--json', 'the whole result as JSON')
    .action(async (tool, options) => (await import('./call.ts')).call(tool, options))
  const usage = command(
    'usage',
    'show invocations and what they cost',
    'toolgate usage --from 2026-11-01 --by target,day --format csv\n  $ toolgate usage --by tool --tenant acme --percentiles',
  )
    .enablePositionalOptions()
    .option('--from <date>', 'YYYY-MM-DD or RFC 3339; the first of this month when left out')
    .option('--to <date>', 'a date includes its day; now when left out')
    .option(
      '--by <what>',
      'target, tool, principal, client, tenant, hour, day, month, outcome, meter; several with commas',
      '',
    )
    .option('--tenant <tenant>', 'only this tenant’s')
    .option('--target <target>', 'only this target’s')
    .option('--tool <tool>', 'only this tool’s')
    .option('--principal <principal>', 'only this caller’s, as rows show it: tenant/subject')
    .option('--client <client>', 'only this client’s')
    .option('--percentiles', 'tell how long calls took, too: by target, tool, tenant and time')
    .addOption(new Option('--format <format>', 'how to print').choices(['table', 'json', 'csv']).default('table'))
    .action(async (options) => (await import('./usage.ts')).usage(options))
  grouped(
    usage,
    'invoice',
    'a tenant’s statement of a month',
    'toolgate usage invoice --month 2026-11 --tenant acme --format html --out acme-2026-11.html',
  )
    .requiredOption('--month <month>', 'YYYY-MM, of UTC')
    .requiredOption('--tenant <tenant>', 'whose statement it is')
    .addOption(new Option('--format <format>', 'for programs or for paper').choices(['json', 'html']).default('json'))
    .option('--out <file>', 'where to put it (default: standard output)')
    .action(async (options) => (await import('./invoice.ts')).invoice(options))
  grouped(
    usage,
    'events',
    'the ledger’s own events of a time, one JSON object a line, as far as they are kept',
    'toolgate usage events --from 2026-11-24T10:00:00Z --target petstore',
  )
    .option('--from <date>', 'YYYY-MM-DD or a full hour (default: the first of this month)')
    .option('--to <date>', 'the same; a date is included (default: now)')
    .option('--tenant <tenant>', 'only this tenant’s')
    .option('--target <target>', 'only of this target')
    .option('--tool <tool>', 'only of this tool')
    .action(async (options) => (await import('./usage-events.ts')).usageEvents(options))
  grouped(
    usage,
    'verify',
    'prove that nothing of the ledger was altered or removed; exit status 1 when something was',
    'toolgate usage verify --head 4f0c…',
  )
    .option('--head <hash>', 'what an earlier verification printed: history up to it has to be the same')
    .option('--json', 'one object')
    .action(async (options) => (await import('./usage-verify.ts')).usageVerify(options))
  root
    .command('schema', { hidden: true })
    .description('print the JSON Schema of the configuration')
    .action(async () => (await import('./schema.ts')).schema())
  return root
}

/** Runs the command. Exit status 0, 1 when it failed, 2 when the words were wrong. */
export async function run(argv: readonly string[]): Promise<void> {
  // whoever reads the output has had enough; a gateway goes on without readers
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' && argv[2] !== 'serve') process.exit()
  })
  try {
    await program().parseAsync([...argv])
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2
      return
    }
    if (error instanceof GatewayError && error.code !== 'internal') process.stderr.write(`toolgate: ${error.message}\n`)
    else process.stderr.write(`toolgate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exitCode = error instanceof GatewayError && error.code === 'invalid_params' ? 2 : 1
  }
}
