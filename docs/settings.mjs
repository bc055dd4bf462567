/**
 * Writes src/library/settings.ts: the settings of training, comparison and generation as types, with the description and the
 * default of each from the schemas. `npm run api`, or `node docs/settings.mjs FILE` to write elsewhere.
 *
 * zod's own types have no comments, so an editor would show neither. A setting that all methods of a family have alike stands
 * once, in the type of the family.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'
import { z } from 'zod'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const jiti = createJiti(import.meta.url, { fsCache: false })
const load = (path) => jiti.import(join(root, 'src', path))

const { methods } = await load('recipes/methods.ts')
const { bestOfNSchema } = await load('recipes/rl/schema.ts')
const { compareSchema } = await load('labs/compare/settings.ts')
const { generateSchema } = await load('library/sampling.ts')

/** The rows that each method learns from. */
const rows = {
  sft: 'SftRow',
  dpo: 'PreferenceRow | RankingRow',
  kto: 'KtoRow',
  reward: 'PreferenceRow | RankingRow',
  spin: 'SftRow',
  asft: 'SftRow',
  distill: 'SftRow | PromptRow',
  selfreward: 'SftRow',
}

/** Settings whose types in a program are not those of the command line. */
const typesOf = (key) => ({
  data: `Data<${rows[key] ?? 'Row'}>`,
  evalData: key === 'selfreward' ? 'Data<PreferenceRow | RankingRow>' : `Data<${rows[key] ?? 'Row'}>`,
  ptxData: 'Data<SftRow>',
  reward: 'RewardSource<Row> | RewardSource<Row>[]',
  ...(key === 'compare' && { judge: 'RewardSource<Row> | RewardSource<Row>[]' }),
  ...(key === 'dpo' && { loss: 'PreferenceLosses | CustomLoss' }),
})

/** What descriptions add in a program. */
const more = {
  data: 'or rows of the program, which are kept in the cache under the hash of their content',
  evalData: 'or rows of the program',
  reward: 'or functions of the program',
  judge: 'or functions of the program',
  loss: 'or a function of your own',
}

/** Settings of the command line alone. */
const commandOnly = ['logEvery', 'findLr', 'open']

const quoted = (value) => (typeof value === 'string' ? `'${value}'` : JSON.stringify(value))

/** What each option of a schedule says, from the comments of its type. */
const scheduleNotes = Object.fromEntries(
  [...readFileSync(join(root, 'src', 'optim', 'schedules.ts'), 'utf8').matchAll(/\/\*\* (.*) \*\/\n +(\w+)\?:/g)].map(
    ([, note, name]) => [name, note],
  ),
)

/** A JSON schema as a type. */
const typeOf = (schema) => {
  if (schema.enum) return schema.enum.map(quoted).join(' | ')
  if ('const' in schema) return quoted(schema.const)
  const parts = schema.anyOf ?? schema.oneOf
  if (parts) return [...new Set(parts.map(typeOf))].join(' | ')
  if (schema.type === 'array') {
    const item = typeOf(schema.items)
    return item.includes(' | ') ? `(${item})[]` : `${item}[]`
  }
  if (schema.type === 'object') {
    const names = schema.propertyNames?.enum
    const value = typeOf(schema.additionalProperties ?? {})
    if (!names) return `Record<string, ${value}>`
    const fields = names.map((name) => `/** ${scheduleNotes[name]} */\n${name}?: ${value}`)
    return `{\n${fields.join('\n')}\n}`
  }
  return { string: 'string', number: 'number', integer: 'number', boolean: 'boolean' }[schema.type] ?? 'unknown'
}

/** A setting's name instead of its flag. */
const asSetting = (_, no, flag) => {
  const key = flag.replace(/-([a-z0-9])/g, (__, letter) => letter.toUpperCase())
  return no ? `\`${key}: false\`` : `\`${key}\``
}

const sentence = (text) => {
  const plain = text
    .replace(/; repeatable\b/g, '')
    .replace(/--(no-)?([a-z][a-z0-9]*(?:-[a-z0-9]+)*)/g, asSetting)
    .replaceAll('*/', '* /')
  return `${plain[0].toUpperCase()}${plain.slice(1)}.`
}

const shownDefault = (value) => {
  if (typeof value === 'number' && value !== 0 && Math.abs(value) < 1e-3) return value.toExponential()
  return quoted(value)
}

/** The settings of a schema: name, type, comment, and whether they must be given. */
const fieldsOf = (key, schema) => {
  const { properties, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  const types = typesOf(key)
  return Object.entries(properties)
    .filter(([name]) => !commandOnly.includes(name))
    .map(([name, field]) => {
      const { description = name, otherwise } = field
      const addition = name in types && more[name] ? `; ${more[name]}` : ''
      const standard = field.default === undefined ? otherwise : shownDefault(field.default)
      const lines = [sentence(description + addition), ...(standard === undefined ? [] : [`@default ${standard}`])]
      const isRequired = required.includes(name) && otherwise === undefined
      const comment =
        lines.length === 1 ? `/** ${lines[0]} */` : ['/**', ...lines.map((line) => ` * ${line}`), ' */'].join('\n')
      return { name, code: `${comment}\n${name}${isRequired ? '' : '?'}: ${types[name] ?? typeOf(field)}` }
    })
}

const typeName = (key) => `${key[0].toUpperCase()}${key.slice(1)}Settings`
const generic = (fields) =>
  fields.some(({ code }) => /\bRow\b/.test(code)) ? '<Row extends PromptRow = UnknownPromptRow>' : ''
const declaration = (doc, name, parameters, parents, fields) =>
  [
    `/** ${doc} */`,
    `export interface ${name}${parameters}${parents.length ? ` extends ${parents.join(', ')}` : ''} {`,
    ...fields.map(({ code }) => code),
    '}',
  ].join('\n')

const schemas = {}
for (const [key, { schema }] of Object.entries(methods)) schemas[key] = fieldsOf(key, await schema())
const all = Object.keys(schemas)
const families = [
  { name: 'TrainingSettings', doc: 'What all training methods take.', members: all },
  {
    name: 'DataTrainingSettings',
    doc: 'What the methods take that learn from given completions.',
    members: ['sft', 'dpo', 'kto', 'reward'],
  },
  {
    name: 'RlSettings',
    doc: 'What all methods take that learn from rewards of their own completions. A batch is of prompts.',
    members: ['reinforce', 'rloo', 'grpo', 'ppo', 'onlineDpo'],
  },
  { name: 'SelfPlaySettings', doc: 'What the methods of self-play take.', members: ['spin', 'asft'] },
]

const declared = []
for (const { name, doc, members } of families) {
  // selfreward describes some of them in its own words
  const others = members.filter((key) => key !== 'selfreward')
  const shared = schemas[members[0]].filter(({ code }) =>
    others.every((key) => schemas[key].some((field) => field.code === code)),
  )
  for (const key of members) {
    schemas[key] = schemas[key].filter(({ code }) => !shared.some((field) => field.code === code))
  }
  declared.push({ name, doc, members, shared, parameters: generic(shared) })
}

const parentOf = ({ name, parameters }) => `${name}${parameters && '<Row>'}`
const parentsOf = (members) => declared.filter((family) => members.every((key) => family.members.includes(key)))
const code = [
  ...declared.map((family) =>
    declaration(
      family.doc,
      family.name,
      family.parameters,
      parentsOf(family.members)
        .filter((other) => other !== family)
        .map(parentOf),
      family.shared,
    ),
  ),
  ...all.map((key) => {
    const parents = parentsOf([key]).filter(
      (family, _, list) => !list.some((other) => other !== family && parentsOf(other.members).includes(family)),
    )
    const parameters = parents.map((family) => family.parameters).find(Boolean) ?? generic(schemas[key])
    return declaration(
      `${methods[key].summary}: the settings of \`${key}\`.`,
      typeName(key),
      parameters,
      parents.map(parentOf),
      schemas[key],
    )
  }),
  ...[
    ['BestOfNSettings', 'The settings of `bestOfN`.', 'bestOfN', bestOfNSchema],
    ['CompareSettings', 'The settings of `compare`.', 'compare', compareSchema],
    ['GenerateOptions', 'Length and sampling of a completion.', 'generate', generateSchema],
  ].map(([name, doc, key, schema]) => {
    const fields = fieldsOf(key, schema)
    return declaration(doc, name, generic(fields), [], fields)
  }),
]

const text = [
  '/** The settings of the library, with their descriptions and defaults: made from the schemas by `npm run api`, not by hand. */',
  "import type { CustomLoss, PreferenceLosses } from '../recipes/trainer/objectives.ts'",
  "import type { RewardSource } from './rewards.ts'",
  "import type { Data, KtoRow, PreferenceRow, PromptRow, RankingRow, SftRow, UnknownPromptRow } from './rows.ts'",
  '',
  code.join('\n\n'),
  '',
].join('\n')
const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
const formatted = execFileSync(process.execPath, [biome, 'format', '--stdin-file-path=src/library/settings.ts'], {
  cwd: root,
  input: text,
})
writeFileSync(process.argv[2] ?? join(root, 'src', 'library', 'settings.ts'), formatted)
