package ignisign

import "github.com/hookstream/hookstream/provider"

var _ provider.Configured = Provider{}

// Settings are the application, its environment, its key, and where it is asked.
func (Provider) Settings() provider.Settings {
	return provider.Settings{
		Credential: provider.CredentialSetting{Field: "api_key", Name: "API key", Variable: "HOOKSTREAM_IGNISIGN_API_KEY"},
		Others: []provider.Setting{
			{
				Field: "app_id", Help: "The application: appId_ and a UUID", Placeholder: "ID",
				Example: "APP_ID", Required: true, InRequests: true,
			},
			{
				Field: "app_env", Help: "The environment: DEVELOPMENT, STAGING or PRODUCTION", Placeholder: "ENV",
				Example: "PRODUCTION", Required: true, InRequests: true,
			},
			{
				Field: "api_base_url", Flag: "api-url", Help: "Where Ignisign's API is", Unless: "if not " + DefaultBaseURL,
				Placeholder: "URL",
			},
			{Field: "api_version", Help: "Which version of the API to ask", Placeholder: "v4|v3", Default: "v4"},
		},
	}
}
