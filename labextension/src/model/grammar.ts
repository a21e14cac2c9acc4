/**
 * Highlighting of scenario files: TOML, with template tags anywhere in it, as a line-by-line tokenizer.
 *
 * A tag may stand in the middle of a string or a key, so the state of the TOML around it is kept while a tag
 * lasts. The names of the tokens are those of CodeMirror's stream languages.
 */

/** What the tokenizer needs of CodeMirror's `StringStream`. */
export interface IStream {
  eol(): boolean;
  sol(): boolean;
  peek(): string | undefined;
  next(): unknown;
  eatSpace(): boolean;
  skipToEnd(): void;
  match(pattern: string | RegExp, consume?: boolean): boolean | RegExpMatchArray | null;
}

type Quote = '"' | "'" | '"""' | "'''";

export interface IGrammarState {
  /** The tag that is open: what closes it. */
  tag: '}}' | '%}' | '#}' | null;
  /** Whether the next word of a statement is its name. */
  tagStarts: boolean;
  quote: Quote | null;
  /** Whether the rest of the line is a comment; tags work in comments too. */
  comment: boolean;
  /** Which part of a `key = value` line comes. */
  place: 'key' | 'value';
  /** Open brackets of arrays and inline tables: values may go over lines, tables have keys inside. */
  brackets: ('[' | '{')[];
  /** Whether the first line, `%%clnrm …`, may still come. */
  magicMayCome: boolean;
}

const OPENERS: Readonly<Record<string, '}}' | '%}' | '#}'>> = { '{{': '}}', '{%': '%}', '{#': '#}' };
const NUMBER =
  /^[+-]?(?:\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)?)?|\d\d:\d\d(?::\d\d(?:\.\d+)?)?|0x[\da-fA-F_]+|0o[0-7_]+|0b[01_]+|(?:inf|nan)\b|\d[\d_]*(?:\.[\d_]+)?(?:[eE][+-]?[\d_]+)?)/;
const TAG_KEYWORDS = /^(?:and|or|not|in|is|if|else|elif|as|import|true|false|none|recursive|ignore|missing)\b/i;

/** The tokenizer; `inCell` lets the first line be a cell magic. */
export function scenarioParser(inCell: boolean): {
  readonly name: string;
  startState(): IGrammarState;
  copyState(state: IGrammarState): IGrammarState;
  blankLine(state: IGrammarState): void;
  token(stream: IStream, state: IGrammarState): string | null;
  readonly languageData: { readonly commentTokens: { readonly line: string } };
} {
  return {
    name: inCell ? 'clnrm-cell' : 'clnrm',
    startState: () => ({
      tag: null,
      tagStarts: false,
      quote: null,
      comment: false,
      place: 'key',
      brackets: [],
      magicMayCome: inCell
    }),
    copyState: state => ({ ...state, brackets: [...state.brackets] }),
    blankLine: state => {
      state.magicMayCome = false;
    },
    token,
    languageData: { commentTokens: { line: '#' } }
  };
}

function token(stream: IStream, state: IGrammarState): string | null {
  if (state.magicMayCome) {
    state.magicMayCome = false;
    if (stream.match(/^%%\w+/)) {
      stream.skipToEnd();
      return 'meta';
    }
  }
  if (stream.sol() && state.tag === null) {
    startLine(state);
  }
  if (state.tag !== null) {
    return tagToken(stream, state, state.tag);
  }
  const opened = stream.match(/^\{[{%#]-?/);
  if (opened && typeof opened !== 'boolean') {
    state.tag = OPENERS[opened[0].slice(0, 2)] ?? null;
    state.tagStarts = state.tag === '%}';
    return state.tag === '#}' ? 'comment' : 'meta';
  }
  if (state.comment) {
    advanceTo(stream, /^\{[{%#]/);
    return 'comment';
  }
  return state.quote === null ? tomlToken(stream, state) : stringToken(stream, state, state.quote);
}

/** A line break ends what TOML lets it end, so that one broken line does not colour the rest. */
function startLine(state: IGrammarState): void {
  state.comment = false;
  if (state.quote === '"' || state.quote === "'") {
    state.quote = null;
  }
  if (state.quote === null && state.brackets.length === 0) {
    state.place = 'key';
  }
}

function tagToken(stream: IStream, state: IGrammarState, end: '}}' | '%}' | '#}'): string | null {
  if (stream.match(`-${end}`) || stream.match(end)) {
    state.tag = null;
    return end === '#}' ? 'comment' : 'meta';
  }
  if (end === '#}') {
    advanceTo(stream, /^-?#\}/);
    return 'comment';
  }
  if (stream.eatSpace()) {
    return null;
  }
  if (stream.match(/^(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|`[^`]*`?)/)) {
    return 'string';
  }
  if (stream.match(/^\d[\d_]*(?:\.\d+)?/)) {
    return 'number';
  }
  const isName = state.tagStarts;
  state.tagStarts = false;
  if (isName ? stream.match(/^\w+/) : stream.match(TAG_KEYWORDS)) {
    return 'keyword';
  }
  if (stream.match(/^\|\s*\w+/) || stream.match(/^\w+(?=\s*\()/)) {
    return 'builtin';
  }
  if (stream.match(/^\w+/)) {
    return 'variableName';
  }
  stream.next();
  return 'operator';
}

function stringToken(stream: IStream, state: IGrammarState, quote: Quote): string {
  if (stream.match(quote)) {
    state.quote = null;
    return 'string';
  }
  // Tags and the end of the string are looked at by the next call; an escape never ends it.
  do {
    if (quote.startsWith('"') && stream.peek() === '\\') {
      stream.next();
    }
    stream.next();
  } while (!stream.eol() && !stream.match(quote, false) && !stream.match(/^\{[{%#]/, false));
  return 'string';
}

function tomlToken(stream: IStream, state: IGrammarState): string | null {
  if (stream.eatSpace()) {
    return null;
  }
  if (stream.peek() === '#') {
    state.comment = true;
    advanceTo(stream, /^\{[{%#]/);
    return 'comment';
  }
  const inTable = state.brackets[state.brackets.length - 1] === '{';
  if (state.place === 'key' && state.brackets.length === 0 && stream.match(/^\[\[?/)) {
    return headerToken(stream);
  }
  const quoted = stream.match(/^(?:"""|'''|"|')/);
  if (quoted && typeof quoted !== 'boolean') {
    state.quote = quoted[0] as Quote;
    return state.place === 'key' ? 'propertyName' : 'string';
  }
  return state.place === 'key' ? keyToken(stream, state) : valueToken(stream, state, inTable);
}

/** The rest of `[a.b]` up to a tag or its bracket. */
function headerToken(stream: IStream): string {
  advanceTo(stream, /^(?:\{[{%#]|#)/);
  return 'heading';
}

function keyToken(stream: IStream, state: IGrammarState): string | null {
  if (stream.match(/^[\w-]+/)) {
    return 'propertyName';
  }
  const character = stream.next();
  if (character === '=') {
    state.place = 'value';
    return 'operator';
  }
  if (character === '}') {
    closeBracket(state);
  }
  return 'punctuation';
}

function valueToken(stream: IStream, state: IGrammarState, inTable: boolean): string | null {
  if (stream.match(/^(?:true|false)\b/)) {
    return 'atom';
  }
  if (stream.match(NUMBER)) {
    return 'number';
  }
  const character = stream.next();
  if (character === '[' || character === '{') {
    state.brackets.push(character);
    state.place = character === '{' ? 'key' : 'value';
    return 'bracket';
  }
  if (character === ']' || character === '}') {
    closeBracket(state);
    return 'bracket';
  }
  if (character === ',') {
    state.place = inTable ? 'key' : 'value';
    return 'punctuation';
  }
  return null;
}

function closeBracket(state: IGrammarState): void {
  state.brackets.pop();
  state.place = 'value';
}

/** Eat at least one character, then up to a pattern or the end of the line. */
function advanceTo(stream: IStream, pattern: RegExp): void {
  do {
    stream.next();
  } while (!stream.eol() && !stream.match(pattern, false));
}

/** Whether the first line of a cell makes it a scenario. */
export function isScenarioMagic(firstLine: string): boolean {
  return /^%%clnrm(?:\s|$)/.test(firstLine);
}
