/** Names that others may refer to. Importing this has no effect. */

/** Every plugin and command of this package begins with it. */
export const NAMESPACE = 'clnrm-nb';

/** The language of scenario files, as editors and notebooks know it. */
export const SCENARIO_MIME = 'text/x-clnrm';

/** The last two suffixes of a scenario file, with and without a template. */
export const SCENARIO_FILE = /\.clnrm\.toml(\.tera)?$/;

export const COMMANDS = { newScenario: 'clnrm:new-scenario' } as const;
